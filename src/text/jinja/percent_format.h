// Python's "%s has %d" % (values): the operator on strings, and the filter format.
#pragma once

#include <span>

#include "text/jinja/builtins.h"
#include "text/jinja/value.h"

namespace minimax::text::jinja {

/// `dict`: for %(name)s; null when there is none. Throws kInvalidArgument as Python throws: for too few or too many
/// values, and for values of another type than the text wants.
Value percent_format(const TracedString& format, std::span<const Value> values, const Dict* dict, Budget& budget);

}  // namespace minimax::text::jinja
