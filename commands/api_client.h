/* The public API as a command-line client uses it: JSON in, JSON out, problems told to the user. */
#ifndef TIDEGATE_COMMANDS_API_CLIENT_H
#define TIDEGATE_COMMANDS_API_CLIENT_H

#include "core/base/arena.h"
#include "core/base/json.h"

struct api_client {
	struct arena *arena; /* of the whole command */
	const char *url;     /* origin */
	const char *token;
	const char *ca_file; /* or NULL */
	char trouble[512];   /* the sentence of the last refusal or failure */
	char code[64];       /* its problem code, "" when the server did not answer */
	int status;          /* HTTP status of the last answer, 0 when there was none */
};

/* Was the last call refused for what it asked, so that asking again would not help? Otherwise the server is away or busy. */
bool api_refused(const struct api_client *client);

/* The token in a file, without its line end; NULL when it cannot be read. */
const char *api_token(struct arena *arena, const char *path);

/*
 * Sends body (JSON text, or NULL) and gives the JSON object of a 2xx answer, NULL of one without content; anything else is
 * false with `trouble` set.
 */
bool api_call(struct api_client *client, struct arena *arena, const char *method, const char *path, const char *body, json_t **ret);

/* PUTs the whole of fd to a signed URL with the headers the server asked for. */
bool api_put(struct api_client *client, struct arena *arena, const char *url, const json_t *headers, int fd, int64_t size);

/* The whole of fd as a new upload of that name; *ret_key lives as long as the client. step: of one call. */
bool api_upload(struct api_client *client, struct arena *step, const char *name, int fd, int64_t size, const char **ret_key);

/* JSON text of a body that json_pack has made, which is given up; NULL without memory. It lives as long as the client. */
const char *api_body(struct api_client *client, json_t *body);

/* Writes what a signed URL holds to fd. */
bool api_save(struct api_client *client, struct arena *arena, const char *url, int fd);

#endif
