#include "rl/external/external_verifier.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "core/error.h"
#include "rl/answer.h"
#include "rl/external/timed_stream.h"

namespace minimax::rl {
namespace {

using Clock = TimedStream::Clock;

struct Url {
  std::string host, port, path;
};

Url parse_url(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  MM_CHECK(url.starts_with(kScheme), "verifier: url \"", url, "\", expected http://host[:port]/path");
  std::string rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  Url out{.host = rest.substr(0, slash), .port = "80", .path = slash < rest.size() ? rest.substr(slash) : "/"};
  if (const size_t colon = out.host.rfind(':'); colon != std::string::npos) {
    out.port = out.host.substr(colon + 1);
    out.host.resize(colon);
  }
  MM_CHECK(!out.host.empty() && !out.port.empty() && out.port.find_first_not_of("0123456789") == std::string::npos,
           "verifier: url \"", url, "\", expected http://host[:port]/path");
  return out;
}

[[noreturn]] void fail(const std::string& why) {
  throw Error(ErrorKind::kIo, why);
}

std::string post(const Url& url, const std::string& body, Clock::time_point deadline) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found) != 0) fail("no such host: " + url.host);
  TimedStream stream;
  for (const addrinfo* at = found; at && !stream.open(); at = at->ai_next) {
    TimedStream tried(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
    if (!tried.open()) continue;
    if (::connect(tried.fd(), at->ai_addr, at->ai_addrlen) != 0) {
      if (errno != EINPROGRESS) continue;
      tried.wait(POLLOUT, deadline);
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(tried.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) continue;
    }
    stream = std::move(tried);
  }
  ::freeaddrinfo(found);
  if (!stream.open()) fail(cat("no connection to ", url.host, ":", url.port));
  stream.is_socket();
  stream.write_all(
      cat("POST ", url.path, " HTTP/1.0\r\nHost: ", url.host,
          "\r\nContent-Type: application/json\r\nContent-Length: ", body.size(), "\r\nConnection: close\r\n\r\n", body),
      deadline);
  std::string answer;
  for (std::string more = stream.read_some(deadline); !more.empty(); more = stream.read_some(deadline)) {
    answer += more;
    if (answer.size() > kMostAnswer) fail("its answer is too long");
  }
  const size_t head = answer.find("\r\n\r\n");
  const size_t space = answer.find(' ');
  if (!answer.starts_with("HTTP/1.") || head == std::string::npos || space == std::string::npos)
    fail("its answer is no HTTP");
  if (answer.substr(space + 1, 3) != "200") fail("HTTP status " + answer.substr(space + 1, 3));
  return answer.substr(head + 4);
}

}  // namespace

ExternalVerifier::ExternalVerifier(ExternalOptions options) : options_(std::move(options)) {
  MM_CHECK(options_.command.empty() != options_.url.empty(), "verifier \"", options_.name,
           "\": expected a command or a url, and not both");
  if (!options_.url.empty())
    parse_url(options_.url);
  else
    programs_ = std::make_unique<ProgramPool>(options_.command, options_.workers);
}

ExternalVerifier::~ExternalVerifier() = default;

std::string ExternalVerifier::ask(const std::string& line) {
  if (programs_) return programs_->ask(line, options_.timeout_seconds);
  return post(parse_url(options_.url), line,
              Clock::now() + std::chrono::microseconds(static_cast<int64_t>(options_.timeout_seconds * 1e6)));
}

Score ExternalVerifier::score(const Problem& problem, const Attempt& attempt) {
  const auto begin = Clock::now();
  Score score;
  score.verifier_version = problem.verifier.version;
  const Answer answer = extract_answer(attempt.text, /*think_required=*/false);
  score.extracted = answer.text;
  try {
    io::json::object request;
    request["problem"] = to_json(problem);
    request["text"] = attempt.text;
    request["answer"] = answer.text;
    request["finished"] = attempt.finished;
    const io::json::value reply = io::parse_json(ask(io::write_json(request)), "answer of verifier " + options_.name);
    const io::JsonField field(reply, "answer of verifier " + options_.name);
    if (field["score"].has_value()) score.score = field["score"].number(-100, 100);
    score.correct = field["correct"].boolean_or(score.score && *score.score >= 1);
    score.format_ok = field["format_ok"].boolean_or(true);
    score.why = field["why"].string_or(score.correct ? "correct" : "wrong_value");
  } catch (const Error& error) {
    score = {.extracted = score.extracted, .why = error.what(), .verifier_version = score.verifier_version};
  }
  score.ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  return score;
}

}  // namespace minimax::rl
