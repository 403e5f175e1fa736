"""Synthetic secrets, made when a test runs so that no scanner of repositories finds a key in this one."""

from __future__ import annotations

import base64
import random
import string
from typing import NamedTuple

ALNUM = string.ascii_letters + string.digits
WORD = ALNUM + "_-"


class Planted(NamedTuple):
    """A secret, the bytes it stands in, and the rule that must find it."""

    rule: str
    secret: bytes
    text: bytes


def _random(chars: str, count: int, seed: str) -> str:
    dice = random.Random(seed)
    return "".join(dice.choices(chars, k=count - 1)) + "7"


def jwt(seed: str = "jwt") -> str:
    """A signed token of three parts."""

    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    header, claims = part('{"alg":"HS256","typ":"JWT"}'), part(f'{{"sub":"1234567890","name":"{seed}"}}')
    return f"{header}.{claims}.{_random(WORD, 43, seed)}"


def pem(kind: str = "RSA PRIVATE KEY", lines: int = 12, newline: str = "\n") -> str:
    """A private key block."""
    body = [_random(ALNUM + "+/", 64, f"{kind}{n}") for n in range(lines)]
    return newline.join([f"-----BEGIN {kind}-----", *body, f"-----END {kind}-----"])


_SHAPED = [  # rule, head, characters, how many follow
    ("anthropic-key", "sk-ant-api03-", WORD, 95),
    ("anthropic-key", "sk-ant-admin01-", WORD, 80),
    ("openrouter-key", "sk-or-v1-", "0123456789abcdef", 64),
    ("langfuse-key", "sk-lf-", "0123456789abcdef-", 36),
    ("openai-key", "sk-", ALNUM, 48),
    ("openai-key", "sk-proj-", WORD, 156),
    ("openai-key", "sk-svcacct-", WORD, 120),
    ("openai-key", "sk-admin-", WORD, 60),
    ("openai-key", "sk-", "0123456789abcdef", 32),
    ("google-key", "AIza", WORD, 35),
    ("google-oauth", "GOCSPX-", WORD, 28),
    ("google-oauth", "ya29.", WORD, 120),
    ("aws-id", "AKIA", string.ascii_uppercase + "234567", 16),
    ("aws-id", "ASIA", string.ascii_uppercase + "234567", 16),
    ("github-token", "ghp_", ALNUM, 36),
    ("github-token", "gho_", ALNUM, 36),
    ("github-token", "ghu_", ALNUM, 36),
    ("github-token", "ghs_", ALNUM, 36),
    ("github-token", "ghr_", ALNUM, 36),
    ("github-token", "github_pat_", ALNUM + "_", 82),
    ("gitlab-token", "glpat-", WORD, 20),
    ("gitlab-token", "glptt-", "0123456789abcdef", 40),
    ("slack-token", "xoxb-", "0123456789-", 24),
    ("slack-token", "xoxp-", ALNUM + "-", 70),
    ("slack-token", "xapp-", ALNUM + "-", 70),
    ("slack-webhook", "services/T0AB1CD2E/B0AB1CD2E/", ALNUM, 24),
    ("huggingface-token", "hf_", ALNUM, 34),
    ("groq-key", "gsk_", ALNUM, 52),
    ("xai-key", "xai-", ALNUM, 80),
    ("perplexity-key", "pplx-", ALNUM, 48),
    ("replicate-token", "r8_", ALNUM, 37),
    ("nvidia-key", "nvapi-", WORD, 64),
    ("cerebras-key", "csk-", string.ascii_lowercase + string.digits, 48),
    ("fireworks-key", "fw_", ALNUM, 24),
    ("tavily-key", "tvly-", ALNUM, 32),
    ("pinecone-key", "pcsk_", WORD, 70),
    ("langsmith-key", "lsv2_pt_", "0123456789abcdef_", 43),
    ("e2b-key", "e2b_", "0123456789abcdef", 40),
    ("stripe-key", "sk_live_", ALNUM, 24),
    ("stripe-key", "rk_live_", ALNUM, 24),
    ("stripe-key", "whsec_", ALNUM, 32),
    ("sendgrid-key", "SG.", WORD, 66),
    ("npm-token", "npm_", ALNUM, 36),
    ("pypi-token", "pypi-", WORD, 150),
    ("digitalocean-token", "dop_v1_", "0123456789abcdef", 64),
    ("shopify-token", "shpat_", "0123456789abcdef", 32),
    ("databricks-token", "dapi", "0123456789abcdef", 32),
    ("docker-token", "dckr_pat_", WORD, 27),
    ("linear-key", "lin_api_", ALNUM, 40),
    ("notion-token", "ntn_", ALNUM, 46),
    ("grafana-token", "glsa_", ALNUM, 41),
    ("vault-token", "hvs.", WORD, 90),
    ("google-key", "AQ.Ab8RN6", WORD, 44),
    ("google-oauth", "1//0", WORD, 100),
    ("bedrock-key", "bedrock-api-key-", ALNUM + "+/", 130),
    ("bedrock-key", "ABSKQmVkcm9ja0FQSUtleS", ALNUM + "+/", 110),
    *(
        ("gitlab-token", head, WORD, 25)
        for head in ["glft-", "glsoat-", "glffct-", "glimt-", "gloas-", "glagent-", "GR1348941"]
    ),
    ("slack-webhook", "workflows/T0AB1CD2EF/A0AB1CD2EF/123456789012345678/", ALNUM, 24),
    ("docker-token", "dckr_oat_", WORD, 32),
    ("linear-key", "lin_oauth_", "0123456789abcdef", 64),
    ("notion-token", "secret_", ALNUM, 43),
    ("grafana-token", "glc_eyJ", ALNUM + "+/", 80),
    ("square-token", "EAAAl", WORD, 59),
    ("together-key", "tgp_v1_", WORD, 43),
    ("firecrawl-key", "fc-", "0123456789abcdef", 32),
    ("hubspot-token", "pat-na1-", "0123456789abcdef", 36),
    ("heroku-key", "HRKU-", WORD, 58),
    ("cloudflare-key", "v1.0-0123456789abcdef01234567-", "0123456789abcdef", 146),
    ("facebook-token", "EAAC", ALNUM, 150),
    ("jfrog-key", "AKCp", ALNUM, 69),
    ("browserbase-key", "bb_live_", WORD, 27),
    ("apify-token", "apify_api_", ALNUM, 36),
    ("resend-key", "re_Ab12Cd34_", ALNUM, 24),
    ("posthog-key", "phx_", ALNUM, 43),
    ("modal-token", "as-", ALNUM, 22),
    ("nuget-key", "oy2", string.ascii_lowercase + string.digits, 43),
    ("runpod-key", "rpa_", ALNUM, 46),
    ("llamacloud-key", "llx-", ALNUM, 48),
    ("tailscale-key", "tskey-auth-", ALNUM, 34),
    ("brevo-key", "xkeysib-", "0123456789abcdef", 81),
    ("easypost-key", "EZAK", ALNUM, 54),
    ("shippo-key", "shippo_live_", "0123456789abcdef", 40),
]


_MARKED = [  # rule, head, characters, how many, end: known once they are whole
    ("mailchimp-key", "", "0123456789abcdef", 32, "-us12"),
    ("airtable-token", "patAb12Cd34Ef56Gh.", "0123456789abcdef", 64, ""),
    ("asana-token", "2/1234567890123456/1234567890123456:", "0123456789abcdef", 32, ""),
    ("paypal-token", "access_token$production$abcdefgh12345678$", "0123456789abcdef", 32, ""),
    ("azure-key", "", ALNUM, 52, "JQQJ99" + "B7ACYeBjFXJ3w3AAABACOGabcd"),
    ("azure-key", "", ALNUM, 76, "AZDOab12"),
]


def _named() -> list[Planted]:
    """Values that are secret because of the name before them."""
    found = []
    value = _random(ALNUM, 32, "named")
    for rule, before, secret, after in [
        ("credential", '"api_key": "', value, '"'),
        ("credential", '\\"apiKey\\": \\"', value, '\\"'),
        ("credential", "MY_SERVICE_API_KEY=", value, "\n"),
        ("credential", "client_secret: '", value, "'"),
        ("credential", '"access_token":"', value, '"'),
        ("credential", '"refresh-token" => "', value, '"'),
        ("credential", '"private_key_token", "token": "', value, '"'),
        ("bearer-token", "Authorization: Bearer ", value, "\\r\\n"),
        ("bearer-token", "curl -H 'authorization: bearer ", value, "'"),
        ("basic-auth", "Authorization: Basic ", _random(ALNUM, 40, "basic"), "\n"),
        ("aws-secret", "aws_secret_access_key = ", _random(ALNUM + "/+", 40, "aws"), "\n"),
        ("aws-secret", '"SecretAccessKey": "', _random(ALNUM + "/+", 40, "aws2"), '"'),
        ("azure-key", "DefaultEndpointsProtocol=https;AccountKey=", _random(ALNUM + "+/", 86, "az") + "==", ";"),
        ("azure-key", "SharedAccessKey=", _random(ALNUM + "+/", 43, "sas") + "=", ";"),
        ("signature", "https://b.s3.amazonaws.com/o?X-Amz-Signature=", _random("0123456789abcdef", 64, "sig"), "&x=1"),
        ("telegram-token", "bot 1234567890:", "AA" + _random(WORD, 33, "tg"), " "),
        ("url-password", "postgresql://app:", "s3cr-t!pw", "@db.internal:5432/x"),
        ("url-password", "redis://:", "hunter2hunter2", "@10.0.0.1/0"),
        ("password", '"password": "', "hunter2!", '"'),
        ("password", '\\"Password\\": \\"', "correcthorse", '\\"'),
        ("password", "DB_PASSWORD=", "tr0ub4dor&3"[:9], "\n"),
        ("password", "curl -u admin:", "s3cretword", " https://api.acme.example/v1"),
        ("password", "sshpass -p ", "s3cretword", " ssh root@host"),
        ("password", "redis-cli -h cache -a ", "s3cretword", " ping"),
        ("password", "mysqldump -u root -p", "s3cretword", " db"),
        ("password", "db.internal:5432:prod:app:", "s3cretword", "\n"),
        ("password", "The password is: ", "s3cret#word", ", keep it"),
        ("basic-auth", "//npm.acme.example/:_auth=", "ZGVwbG95OnMzY3JldHdvcmQ=", "\n"),
        ("credential", '{"content": "[github]\\ntoken = ', value, '\\n"}'),
        ("credential", "VERCEL_TOKEN=", value, "\n"),
        ("credential", "DD_APPLICATION_KEY: ", value, "\n"),
        ("credential", "wandb login ", value, "\n"),
        ("bearer-token", "Authorization: Token ", value, "\n"),
        ("bearer-token", '"authorization": "SSWS ', value, '"'),
        ("jwt", "token is ", jwt(), " ok"),
        ("credential", "db --password ", value, " --verbose"),
        ("credential", '{"name": "API_KEY", "value": "', value, '"}'),
        ("credential", 'form-data; name="api_key"\r\n\r\n', value, "\r\n--b--"),
        ("github-token", "see task.", "ghp_" + _random(ALNUM, 36, "task"), " "),
        ("private-key", "cat id_rsa\n", pem(), "\n"),
        ("private-key", '"key": "', pem("PRIVATE KEY", newline="\\n"), '\\n"'),
        ("private-key", "", pem("OPENSSH PRIVATE KEY"), "\ndone"),
    ]:
        found.append(Planted(rule, secret.encode(), (before + secret + after).encode()))
    return found


def shaped() -> list[Planted]:
    """Secrets known by their own shape, in a sentence."""
    return [
        _in_sentence(rule, head, _random(chars, n, f"{head}{i}")) for i, (rule, head, chars, n) in enumerate(_SHAPED)
    ]


def marked() -> list[Planted]:
    """Secrets known by their length and what stands in their midst, in a sentence."""
    return [_in_sentence(rule, head, _random(chars, n, rule) + end) for rule, head, chars, n, end in _MARKED]


def _in_sentence(rule: str, head: str, rest: str) -> Planted:
    secret = (head + rest).encode()
    return Planted(rule, secret, b'{"content": "here:\\n' + secret + b'\\nuse it"}')


def planted() -> list[Planted]:
    """All of them."""
    return [*shaped(), *_named()]


def innocent() -> list[bytes]:
    """What agents' traffic is full of and no rule may touch."""
    ids = [
        ("call_", ALNUM, 24), ("toolu_01", ALNUM, 22), ("msg_01", ALNUM, 22), ("msg_0", "0123456789abcdef", 48),
        ("resp_0", "0123456789abcdef", 48), ("chatcmpl-", ALNUM, 29), ("req_011", ALNUM, 21), ("fc_0", "0123456789abcdef", 48),
        ("rs_0", "0123456789abcdef", 48), ("run_", ALNUM, 24), ("thread_", ALNUM, 24), ("asst_", ALNUM, 24), ("file-", ALNUM, 24),
        ("lc_run--", "0123456789abcdef", 32), ("tooluse_", WORD, 22), ("batch_", ALNUM, 24), ("fp_", "0123456789abcdef", 32),
        ("pyd_ai_", "0123456789abcdef", 32),
    ]  # fmt: skip
    found = [
        f'{{"id": "{head}{_random(chars, n, head)}", "tool_call_id": "{head}x"}}'.encode() for head, chars, n in ids
    ]
    image = base64.b64encode(random.Random(5).randbytes(6000)).decode()
    found += [
        b'{"session_id": "0b5e8400-e29b-41d4-a716-446655440000"}',
        b'{"sha256": "' + _random("0123456789abcdef", 64, "sha").encode() + b'"}',
        b"commit "
        + _random("0123456789abcdef", 40, "git").encode()
        + b"\nmerge origin/feature/add-password-reset-form",
        b'{"image_url": {"url": "data:image/png;base64,' + image.encode() + b'"}}',
        b'{"signature": "' + base64.b64encode(random.Random(6).randbytes(300)) + b'"}',
        b'{"encrypted_content": "gAAAAAB' + image.encode()[:400] + b'"}',
        b'{"model": "claude-sonnet-4-5-20250929-thinking-preview", "max_tokens": 1024}',
        b'{"model": "ft:gpt-4o-mini-2024-07-18:acme:support-classifier:9xYz12Ab"}',
        b'{"next_page_token": "'
        + _random(ALNUM, 40, "page").encode()
        + b'", "prompt_cache_key": "support-agent-conversation-0042"}',
        b'{"password": {"type": "string", "description": "The password: at least 12 characters"}}',
        b'os.environ["OPENAI_API_KEY"]; api_key=self.settings.provider_api_key_for_environment; password=password',
        b"export OPENAI_API_KEY=your-openai-api-key-goes-here-1234 # placeholder",
        b"task-force-operation-2024-risk-assessment-sk-learn-contrib and the disk-usage-report-20241121",
        b'{"id": "sk-2826-token-provider-response-profile-search", "slug": "sl.password-tool-563-secret-the-auth-curl-of-auth-value-task-config-model"}',
        b"hf_ProfileConfigBuildAskAuthorAuthorMysql fw_TokenConfigDeskKeyAccount as-ModelBuildConfigConfig3",
        b"api_key = getHTTPSURLForAPIKeyNow; token: MyHTTPServerURLTokenProvider; secret = AWSSECRETManagerClientFactory()",
        b"API_KEY=xxxxxxxxAbCdEf12xxxx GH_TOKEN=ghp_yourtokengoesherelikethis API_TOKEN=xxxx-Ab12Cd34-Ef56Gh78",
        b"secret_ValueSklearnIndexValueAuthorTokenProfileProvider4 secret_request_mask_config_basic_pandas_build_task_the",
        b"id=password%20%3D%20getpass.getpass%28%27Password%3A%20%27%29&x=docker%20-e%20POSTGRES_PASSWORD%3Dpostgres%20-p%205432",
        b"_RNvCx4WUT5_1EngineSklearnPassword::hae1c63c37d08cc8e",
        b"task-build-risk-service-login-token risk-account-auth-secret-the-7867",
        b"PRIMARY_KEY = '0123456789abcdef0123456789abcdef'; CACHE_KEY=0123456789abcdef0123456789abcdef01234567",
        b"The password is required and must be at least 8 characters long. mysql -u root -p < dump.sql; mkdir -p build/output2",
        b"Authorization: AWS4 see docs/authorization-and-authentication-guide.html; curl -u $USER:$PASS_2 https://a.example",
        b"write to jane.doe@example.com or git@github.com:acme/repo.git, see http://localhost:8080/a@b",
        b"password: ******** key: xxxx password=XXXXXXXX Password: "
        + "•".encode() * 8
        + b" passwd=........ secret: ----------",
        b"-----BEGIN CERTIFICATE-----\n" + image.encode()[:64] + b"\n-----END CERTIFICATE-----",
    ]
    return found
