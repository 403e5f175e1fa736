"""What models were asked and what they answered, read from the bytes of the wire.

Pure: bytes and dicts in, values of `base` out; no input or output, standard library only. `detect.recognise` names the
provider of a request; the provider reads the request and its answer.
"""
