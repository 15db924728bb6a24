/*
 * Keys of age: their texts, new ones, lists of them. Called by the backups and `tidegate restore`. Must never take a list in part:
 * whoever names three recipients gets three, or an error.
 */
#include "core/crypto/age.h"

#include <sodium.h>
#include <string.h>

static const char recipient_prefix[] = "age", identity_prefix[] = "age-secret-key-";

enum err age_recipient_parse(const char *text, struct age_recipient *ret)
{
	struct age_recipient recipient;
	uint8_t scalar[AGE_KEY] = {1}, shared[AGE_KEY];
	/* Text in capitals is the form of secret keys only. */
	if (strncmp(text, "age1", 4) != 0 || bech32_decode(text, recipient_prefix, recipient.point, AGE_KEY))
		return ERR_INVALID;
	/* libsodium refuses points of low order: the secret would be known to everybody. */
	if (crypto_scalarmult_curve25519(shared, scalar, recipient.point))
		return ERR_INVALID;
	*ret = recipient;
	return OK;
}

void age_recipient_text(const struct age_recipient *recipient, char out[AGE_TEXT_SIZE])
{
	bech32_encode(recipient_prefix, recipient->point, AGE_KEY, out);
}

static enum err add_recipient(const char *word, struct age_recipient *list, size_t *count)
{
	if (*count == AGE_RECIPIENTS_MAX)
		return ERR_INVALID;
	enum err err = age_recipient_parse(word, &list[*count]);
	for (size_t i = 0; !err && i < *count; i++)
		err = memcmp(&list[i], &list[*count], sizeof(list[i])) == 0 ? ERR_INVALID : OK;
	*count += err ? 0 : 1;
	return err;
}

enum err age_recipients_parse(const char *text, struct age_recipient ret[AGE_RECIPIENTS_MAX], size_t *ret_count)
{
	struct age_recipient list[AGE_RECIPIENTS_MAX] = {0};
	size_t count = 0;
	enum err err = OK;
	while (!err && *(text += strspn(text, " ,\t\r\n"))) {
		char word[AGE_TEXT_SIZE];
		size_t n = strcspn(text, " ,\t\r\n");
		if (n >= sizeof(word))
			return ERR_INVALID;
		memcpy(word, text, n);
		word[n] = '\0';
		err = add_recipient(word, list, &count);
		text += n;
	}
	if (err)
		return err;
	memcpy(ret, list, count * sizeof(list[0]));
	*ret_count = count;
	return OK;
}

enum err age_identity_parse(const char *text, struct age_identity *ret)
{
	char line[AGE_TEXT_SIZE];
	for (;;) {
		text += strspn(text, " \t\r\n");
		size_t n = strcspn(text, "\r\n");
		if (*text == '#') {
			text += n;
			continue;
		}
		while (n && (text[n - 1] == ' ' || text[n - 1] == '\t'))
			n--;
		if (n == 0 || n >= sizeof(line))
			return ERR_INVALID;
		memcpy(line, text, n);
		line[n] = '\0';
		break;
	}
	struct age_identity identity;
	enum err err = bech32_decode(line, identity_prefix, identity.scalar, AGE_KEY);
	sodium_memzero(line, sizeof(line));
	if (!err && crypto_scalarmult_curve25519_base(identity.point, identity.scalar))
		err = ERR_INVALID;
	if (!err)
		*ret = identity;
	age_identity_wipe(&identity);
	return err;
}

enum err age_identity_new(struct age_identity *ret)
{
	randombytes_buf(ret->scalar, sizeof(ret->scalar));
	return crypto_scalarmult_curve25519_base(ret->point, ret->scalar) ? ERR_BUG : OK;
}

void age_identity_text(const struct age_identity *identity, char out[AGE_TEXT_SIZE])
{
	bech32_encode(identity_prefix, identity->scalar, AGE_KEY, out);
	for (char *c = out; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - ('a' - 'A'));
}

void age_identity_wipe(struct age_identity *identity)
{
	sodium_memzero(identity, sizeof(*identity));
}
