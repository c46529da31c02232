#!/usr/bin/env python3
"""Writes tests/data/sigv4_cases.jsonl: requests and their signatures as botocore computes them.

Run by hand in an environment that has botocore (Apache-2.0), an independent implementation of AWS
Signature Version 4; the result is committed and read by src/providers/sigv4_test.c. Strings hold no
JSON escapes, so that the test can read them in place.

    python3 -m venv v && v/bin/pip install botocore==1.44.5 && v/bin/python tools/make_sigv4_cases.py
"""
import datetime
import json
import pathlib
import random
import urllib.parse
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials

OUT = pathlib.Path(__file__).resolve().parent.parent / 'tests' / 'data' / 'sigv4_cases.jsonl'
ACCESS, SECRET = 'AKIDEXAMPLE', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
MODELS = ['anthropic.claude-sonnet-4-5-20250929-v1:0', 'us.amazon.nova-pro-v1:0', 'plain-model',
          'arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v2:1',
          'arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3d4e5f6']
OPERATIONS = ['converse', 'converse-stream', 'invoke', 'invoke-with-response-stream']


def sign(case):
    when = datetime.datetime.fromtimestamp(case['time'], datetime.timezone.utc)
    credentials = botocore.credentials.Credentials(ACCESS, SECRET, case['token'] or None)
    url = f"https://{case['host']}{case['path']}" + ('?' + case['query'] if case['query'] else '')
    request = botocore.awsrequest.AWSRequest(
        method=case['method'], url=url, data=case['body'].encode(),
        headers={h['name']: h['value'] for h in case['headers']})
    kind = botocore.auth.S3SigV4Auth if case['service'] == 's3' else botocore.auth.SigV4Auth
    with mock.patch('botocore.auth.get_current_datetime', lambda **_: when.replace(tzinfo=None)):
        kind(credentials, case['service'], case['region']).add_auth(request)
    return request.headers['Authorization']


def random_case(rng):
    path = '/model/' + urllib.parse.quote(rng.choice(MODELS), safe='') + '/' + rng.choice(OPERATIONS)
    if rng.random() < 0.3:
        path = rng.choice(['', '/', '/a/b/', '/a//b', '/a/./b/../c', '/a/..', '/..', '/%20x/~y_-.',
                           '/caf%C3%A9', '/a%2Fb', '/*', '/a,b;c=d@e:f'])
    pairs = [f"{rng.choice(['a', 'B', 'aa', 'x-y', 'Action', '%24k'])}"
             f"{rng.choice(['', '=', '=1', '=%20v', '=Z', '=a~b'])}" for _ in range(rng.randrange(5))]
    names = ['content-type', 'X-Amzn-Trace', 'accept', 'X-A', 'x-b', 'x-amzn-bedrock-accept']
    values = ['application/json', '  padded\t ', 'two  spaces   here', '', 'a,b', '"q  r"', 'x\ty']
    return dict(method=rng.choice(['POST', 'GET', 'PUT']),
                host=f"bedrock-runtime.{rng.choice(['us-east-1', 'eu-central-1'])}.amazonaws.com",
                path=path, query='&'.join(pairs),
                headers=[dict(name=n, value=rng.choice(values))
                         for n in rng.sample(names, rng.randrange(4))],
                body=rng.choice(['', '{}', 'hello', 'x' * 300]),
                region=rng.choice(['us-east-1', 'eu-central-1', 'us-gov-west-1']),
                service=rng.choice(['bedrock', 'bedrock', 'bedrock', 'sts', 's3']),
                token=rng.choice(['', '', 'FwoGZXIvYXdzEBYaDExample+/=' * 4]),
                time=rng.randrange(1400000000, 2500000000))


def main():
    rng = random.Random(4)
    cases = [random_case(rng) for _ in range(200)]
    with OUT.open('w') as f:
        for case in cases:
            for h in case['headers']:
                h['value'] = h['value'].replace('\t', ' ').replace('"', "'")
            text = json.dumps({**case, 'authorization': sign(case)})
            assert '\\' not in text
            f.write(text + '\n')


if __name__ == '__main__':
    main()
