"""Presigned URLs after AWS Signature Version 4, written from its specification and not from our C, so that each checks the other."""
import datetime
import hashlib
import hmac
from urllib.parse import quote


def presign(origin, path, method, access_key, secret_key, headers=None, region="local", life=900, age=0, query=None):
    """headers: signed beside host. age: seconds since it was signed (negative: the future)."""
    host = origin.partition("://")[2]
    signed = {"host": host, **(headers or {})}
    names = ";".join(sorted(signed))
    date = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    parameters = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{access_key}/{scope}", "X-Amz-Date": date,
        "X-Amz-Expires": str(life), "X-Amz-SignedHeaders": names, **(query or {}),
    }
    canonical_query = "&".join(f"{quote(k, '-_.~')}={quote(v, '-_.~')}" for k, v in sorted(parameters.items()))
    canonical_headers = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = "\n".join([method, quote(path, "/-_.~"), canonical_query, canonical_headers, names, "UNSIGNED-PAYLOAD"])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret_key).encode()
    for part in (date[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{origin}{quote(path, '/-_.~')}?{canonical_query}&X-Amz-Signature={signature}"
