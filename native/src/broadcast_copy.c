/* Copies by words: what one side may overwrite while the other reads it. */
#include <string.h>

#include "broadcast_side.h"

#define WORD sizeof(uint64_t)

void ipk_broadcast_words_in(unsigned char *record, const void *data, uint64_t length)
{
	const unsigned char *from = data;
	uint64_t word = 0;

	for (; length >= WORD; length -= WORD, from += WORD, record += WORD) {
		memcpy(&word, from, WORD);
		store_word(record, word);
	}
	if (length > 0) {
		word = 0;
		memcpy(&word, from, length);
		store_word(record, word);
	}
}

void ipk_broadcast_words_out(void *into, const unsigned char *record, uint64_t length)
{
	unsigned char *to = into;
	uint64_t word;

	for (; length >= WORD; length -= WORD, to += WORD, record += WORD) {
		word = load_word(record);
		memcpy(to, &word, WORD);
	}
	if (length > 0) {
		word = load_word(record);
		memcpy(to, &word, length);
	}
}
