#!/bin/sh
# Record a refund agent against a scripted model, stop the model and the shop, replay the agent without them, look inside.
# No key, no account, no network. PYTHON and PLAYHEAD may name other programs than python3 and playhead.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
playhead=${PLAYHEAD:-playhead}
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }

start_server() {
  "$python" "$here/model_server.py" --port 0 >"$work/address" &
  server=$!
  tries=0
  until [ -s "$work/address" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ]; then
      echo "the example's model server did not start" >&2
      exit 1
    fi
    sleep 0.1
  done
  address=$(cat "$work/address")
}

stop_server() {
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=
}

refunds() {
  "$python" -c 'import json, sys, urllib.request as u
print(json.load(u.build_opener(u.ProxyHandler({})).open(sys.argv[1]))["count"])' "$address/shop/refunds"
}

start_server
export OPENAI_BASE_URL="$address/v1" OPENAI_API_KEY=none ANTHROPIC_BASE_URL="$address" ANTHROPIC_API_KEY=none SHOP_URL="$address/shop"

say "playhead record --name refund -- python examples/refund_agent.py"
"$playhead" record --name refund -- "$python" "$here/refund_agent.py"
paid=$(refunds)
printf '\nThe shop has paid %s refunds.\n' "$paid"

say "playhead replay refund        # the model and the shop still run: does it refund again?"
"$playhead" replay refund
printf '\nThe shop has paid %s refunds.\n' "$(refunds)"
if [ "$(refunds)" != "$paid" ]; then
  echo "the replay refunded again" >&2
  exit 1
fi

node_agent=
if command -v node >/dev/null && [ -d "$here/node_modules/openai" ]; then
  node_agent=1
  say "playhead record --name refund-node -- node examples/refund_agent.mjs"
  "$playhead" record --name refund-node -- node "$here/refund_agent.mjs"
fi

stop_server
say "playhead replay refund        # the model and the shop are stopped, the key is gone"
unset OPENAI_API_KEY ANTHROPIC_API_KEY
"$playhead" replay refund
if [ -n "$node_agent" ]; then
  say "playhead replay refund-node"
  "$playhead" replay refund-node
fi

say "playhead inspect refund"
"$playhead" inspect refund
say "playhead inspect refund:1"
"$playhead" inspect refund:1
