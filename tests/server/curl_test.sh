#!/bin/bash
# Every path of the server once, asked with curl, as docs and shell scripts do.
# Usage: curl_test.sh, with MINIMAX_PROGRAM and MINIMAX_TESTDATA set.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v curl >/dev/null || {
  echo "skipped: curl is not installed"
  exit 77
}

folder=$(mktemp -d)
pid=
cleanup() {
  if [[ -n $pid ]]; then kill -9 "$pid" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap cleanup EXIT
mkdir "$folder/model" "$folder/sessions"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/../cli python3 -c '
import sys, scripted_model
scripted_model.write(sys.argv[1], ["<think>\n", "Let", " me", " see", ".", "\n</think>\n\n", "Hello", " there", "!", " Bye"])
' "$folder/model"
umask 077
printf 'curl-key\n' >"$folder/keys"
: >"$folder/out"
"$MINIMAX_PROGRAM" serve "$folder/model" --name m1 --port 0 --temperature 0 -t 1 --access-log "$folder/access.log" \
  --api-key-file "$folder/keys" --session-folder "$folder/sessions" --vllm-metrics >"$folder/out" 2>"$folder/err" &
pid=$!
until grep -q 'serving at' "$folder/out"; do
  kill -0 "$pid" || {
    cat "$folder/err"
    exit 1
  }
  sleep 0.05
done
url=$(sed -n 's/serving at //p' "$folder/out")

fail() {
  echo "FAILED: $1"
  echo "  got:      $2"
  echo "  expected: $3"
  exit 1
}

# ask STATUS PATTERN METHOD PATH [BODY]: one request with the key; the answer fits the extended regular expression.
ask() {
  local status=$1 pattern=$2 method=$3 path=$4 answer code
  shift 4
  answer=$(curl --silent --show-error --max-time 1200 --no-buffer --request "$method" \
    --header 'authorization: Bearer curl-key' --header 'content-type: application/json' \
    --write-out '\n%{http_code}' ${1+--data "$1"} "$url$path")
  code=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  [[ $code == "$status" ]] || fail "$method $path" "$code $answer" "$status"
  [[ $answer =~ $pattern ]] || fail "$method $path" "$answer" "$pattern"
  printf '%s' "$answer" >"$folder/answer"
}

turn='[{"role": "user", "content": "hi"}]'
ask 200 '"status":"ok"' GET /health
ask 200 '"status":"ready"' GET /ready
ask 200 '<!doctype html>' GET /
ask 200 '"id":"m1"' GET /v1/models
ask 200 '"id":"m1"' GET /v1/models/m1
ask 200 '"content":"Hello there! Bye".*"finish_reason":"stop"' POST /v1/chat/completions "{\"messages\": $turn}"
ask 200 'data: .*"content":"Hello".*data: \[DONE\]' POST /v1/chat/completions "{\"messages\": $turn, \"stream\": true}"
ask 200 '"text":"<think>' POST /v1/completions '{"prompt": "a\n", "max_tokens": 3}'
ask 200 'data: \[DONE\]' POST /v1/completions '{"prompt": "a\n", "max_tokens": 3, "stream": true}'
ask 200 '"text":"Hello there! Bye"' POST /v1/responses '{"input": "hi"}'
[[ $(<"$folder/answer") =~ \"id\":\"(resp_[0-9A-Za-z]+)\" ]]
response=${BASH_REMATCH[1]}
ask 200 "$response" GET "/v1/responses/$response"
ask 200 '"deleted":true' DELETE "/v1/responses/$response"
ask 404 "$response" GET "/v1/responses/$response"
ask 200 'event: response.completed' POST /v1/responses '{"input": "hi", "stream": true}'
ask 200 '"type":"text","text":"Hello there! Bye"' POST /v1/messages "{\"max_tokens\": 50, \"messages\": $turn}"
ask 200 'event: message_stop' POST /v1/messages "{\"max_tokens\": 50, \"stream\": true, \"messages\": $turn}"
ask 200 '"input_tokens":[0-9]+' POST /v1/messages/count_tokens "{\"messages\": $turn}"
ask 200 '"tokens":\[97,98\]' POST /tokenize '{"content": "ab"}'
ask 200 '"content":"ab"' POST /detokenize '{"tokens": [97, 98]}'
ask 200 'name=user' POST /apply-template "{\"messages\": $turn}"
ask 404 'no request' POST /v1/chat/completions/control '{"id": "nobody", "action": "cancel"}'
ask 200 '"stop"' POST /v1/chat/completions "{\"messages\": $turn, \"session\": \"tea\"}"
ask 200 '"id":"tea"' GET /v1/sessions
ask 200 '"saved":true' POST /v1/sessions/tea/save
ask 200 '"in_memory":true' POST /v1/sessions/tea/restore
ask 200 '"deleted":true' DELETE /v1/sessions/tea
ask 200 'minimax_requests_finished_total [1-9].*vllm:request_success_total' GET /metrics
ask 400 '"param":"temperature"' POST /v1/chat/completions "{\"messages\": $turn, \"temperature\": \"hot\"}"
ask 404 'there is nothing at' GET /v1/nothing
ask 405 'does not take PUT' PUT /v1/completions

code=$(curl --silent --output /dev/null --write-out '%{http_code}' "$url/v1/models")
[[ $code == 401 ]] || fail "without a key" "$code" 401

kill -TERM "$pid"
wait "$pid" || fail "the server's end" "$?" 0
pid=
grep -q '"path": "/v1/messages"' "$folder/access.log" || fail "the access log" "$(<"$folder/access.log")" "/v1/messages"
grep -q 'Hello' "$folder/access.log" && fail "the access log" "a text" "none"
echo "all paths answered curl as they should"
