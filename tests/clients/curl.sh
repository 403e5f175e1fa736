#!/bin/sh
# curl, against OpenAI Chat Completions; prints the raw body. argv: plain|stream [prompt].
set -eu
mode=$1
prompt=${2:-Name three rivers.}
url=${OPENAI_BASE_URL:-https://api.openai.com/v1}/chat/completions
stream=false
[ "$mode" = stream ] && stream=true
exec curl --silent --show-error --fail --no-buffer -H 'Content-Type: application/json' \
  -d "{\"model\": \"gpt-4o-mini\", \"stream\": $stream, \"messages\": [{\"role\": \"user\", \"content\": \"$prompt\"}]}" "$url"
