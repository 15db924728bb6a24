/* tidegate token: a development token under auth.jwt_secret. For people and tests; production tokens come from the identity provider. */
#include "commands/commands.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/crypto/jwt.h"

#include <string.h>

int command_token(struct command *command)
{
	const struct config *config = command->config;
	const char *role = option_value(command, "--role"), *sub = option_value(command, "--sub"), *space = option_value(command, "--space");
	const char *hours_text = option_value(command, "--hours");
	int64_t hours = 12;
	struct buf token;
	if (!role || !sub || command->argc > 1 || (hours_text && parse_i64(hours_text, 1, 87600, &hours)))
		return complain(EXIT_USAGE, "token needs --role admin|member and --sub NAME, and takes --space NAME and --hours 1 to 87600.");
	if (!text_equal(role, "admin") && !text_equal(role, "member"))
		return complain(EXIT_USAGE, "the role is admin or member.");
	struct jwt_mint mint = {
	    .issuer = *config->jwt_issuer ? config->jwt_issuer : NULL,
	    .audience = *config->jwt_audience ? config->jwt_audience : NULL,
	    .sub = sub,
	    .role = role,
	    .role_claim = config->role_claim,
	    .space = space,
	    .issued_at = clock_unix(),
	    .lifetime = hours * 3600,
	};
	buf_init(&token, JWT_TOKEN_MAX);
	enum err err = jwt_mint_hs256(&token, config->jwt_secret, strlen(config->jwt_secret), &mint);
	if (!err)
		puts(buf_text(&token));
	buf_release(&token);
	return err ? complain(EXIT_CONFIGURATION, "auth.jwt_secret needs at least 32 bytes, and the name at most 255.") : 0;
}
