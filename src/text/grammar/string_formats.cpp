#include "text/grammar/string_formats.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace minimax::text::grammar {
namespace {

// A day that exists: 29 February only in leap years.
#define MM_DATE                                                                                         \
  "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|" \
  "02-(?:0[1-9]|1[0-9]|2[0-8]))|"                                                                       \
  "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
#define MM_TIME "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#define MM_OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define MM_IPV4 MM_OCTET "(?:\\." MM_OCTET "){3}"
#define MM_LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define MM_GROUP "[0-9A-Fa-f]{1,4}"
#define MM_LOW32 "(?:" MM_GROUP ":" MM_GROUP "|" MM_IPV4 ")"
#define MM_PATH_CHARACTER "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kFormats{{
    {"date", MM_DATE},
    {"time", MM_TIME},
    {"date-time", MM_DATE "T" MM_TIME},
    // The order of RFC 3339's grammar: a unit may be left out only at either end.
    {"duration",
     "P(?:[0-9]+W|"
     "(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
     "(?:T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))?|"
     "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S))"},
    {"email", "(?=.{1,64}@)[A-Za-z0-9_+-]+(?:\\.[A-Za-z0-9_+-]+)*@" MM_LABEL "(?:\\." MM_LABEL "){1,3}"},
    {"hostname", "(?=.{1,253}$)" MM_LABEL "(?:\\." MM_LABEL ")*"},
    {"ipv4", MM_IPV4},
    {"ipv6", "(?:" MM_GROUP ":){6}" MM_LOW32 "|::(?:" MM_GROUP ":){5}" MM_LOW32 "|(?:" MM_GROUP ")?::(?:" MM_GROUP
             ":){4}" MM_LOW32 "|(?:(?:" MM_GROUP ":){0,1}" MM_GROUP ")?::(?:" MM_GROUP ":){3}" MM_LOW32
             "|(?:(?:" MM_GROUP ":){0,2}" MM_GROUP ")?::(?:" MM_GROUP ":){2}" MM_LOW32 "|(?:(?:" MM_GROUP
             ":){0,3}" MM_GROUP ")?::" MM_GROUP ":" MM_LOW32 "|(?:(?:" MM_GROUP ":){0,4}" MM_GROUP ")?::" MM_LOW32
             "|(?:(?:" MM_GROUP ":){0,5}" MM_GROUP ")?::" MM_GROUP "|(?:(?:" MM_GROUP ":){0,6}" MM_GROUP ")?::"},
    {"uri", "[A-Za-z][A-Za-z0-9+.-]*:(?://(?:[A-Za-z0-9._~!$&'()*+,;=:-]+@)?(?:" MM_LABEL "(?:\\." MM_LABEL ")*)"
            "(?::[0-9]{1,5})?(?:/" MM_PATH_CHARACTER "*)*|/?" MM_PATH_CHARACTER "+(?:/" MM_PATH_CHARACTER "*)*)"
            "(?:\\?(?:" MM_PATH_CHARACTER "|[/?])*)?(?:#(?:" MM_PATH_CHARACTER "|[/?])*)?"},
    {"uuid", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"},
}};

}  // namespace

std::optional<std::string_view> format_pattern(std::string_view format) {
  const auto* const found = std::ranges::find(kFormats, format, &std::pair<std::string_view, std::string_view>::first);
  if (found == kFormats.end()) return std::nullopt;
  return found->second;
}

}  // namespace minimax::text::grammar
