"""`boto3` bedrock-runtime, Converse and ConverseStream (binary event stream). argv: plain|stream [prompt]."""

import sys

import boto3

mode, prompt = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "Name three rivers."
client = boto3.client("bedrock-runtime", region_name="us-east-1")
request = {"modelId": "amazon.nova-micro-v1:0", "messages": [{"role": "user", "content": [{"text": prompt}]}]}
if mode == "plain":
    print(client.converse(**request)["output"]["message"]["content"][0]["text"])
else:
    for event in client.converse_stream(**request)["stream"]:
        print(event.get("contentBlockDelta", {}).get("delta", {}).get("text", ""), end="", flush=True)
    print()
