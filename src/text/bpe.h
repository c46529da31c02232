/*
 * Counts tokens as OpenAI's tokenisers do (cl100k_base, o200k_base): the text is split into pieces
 * by the tokeniser's rules on character classes, and the bytes of each piece are merged pairwise,
 * lowest rank first. The count is exactly that of tiktoken's encode_ordinary(): special tokens such
 * as <|endoftext|> are ordinary text here.
 *
 * The ranks come from a table made by tools/make_ranks.py. It is mapped, not read: opening is cheap
 * next to parsing, processes share its pages, and any number of threads may count at once.
 */
#ifndef SF_TEXT_BPE_H
#define SF_TEXT_BPE_H

#include "base/str.h"

struct bpe;

/* 0; -ENOENT and other errors of open(2); -EBADMSG when it is not a sound table. */
int bpe_open(const char *path, struct bpe **ret);
void bpe_close(struct bpe *b); /* NULL is fine */

/* The number of tokens, or -ENOMEM. Never suspends; time grows linearly with the text. A byte that
 * is not valid UTF-8 counts as a character of its own, of no class. */
int64_t bpe_count(const struct bpe *b, struct str text);

/* The same for a text whose end has not come yet: counts the tokens of its first *ret_used bytes,
 * which stay what they are whatever follows. The count of the rest, when more of it is there, adds
 * to this one exactly. *ret_used is 0 when nothing is sure yet. */
int64_t bpe_count_begun(const struct bpe *b, struct str text, size_t *ret_used);

#endif
