/* tidegate config: prints the configuration, or a document that is made from a table of the program. */
#include "commands/commands.h"
#include "fcgi/problem.h"

enum { DOCUMENT_MAX = 1 << 20 };

static int print_configuration(struct command *command, struct buf *out)
{
	struct config config;
	const char *why = NULL;
	if (config_load(command->arena, command->config_path, &config, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	return config_print(&config, out) ? EXIT_INTERNAL : 0;
}

int command_config(struct command *command)
{
	struct buf out;
	int status = EXIT_USAGE;
	buf_init(&out, DOCUMENT_MAX);
	if (option_flag(command, "--docs"))
		status = config_docs(&out) ? EXIT_INTERNAL : 0;
	else if (option_flag(command, "--errors"))
		status = problem_docs(&out) ? EXIT_INTERNAL : 0;
	else if (option_flag(command, "--nginx"))
		status = problem_nginx(&out) ? EXIT_INTERNAL : 0;
	else if (option_flag(command, "--print"))
		status = print_configuration(command, &out);
	if (status == EXIT_USAGE)
		complain(status, "config takes --print, --docs, --errors or --nginx.");
	fputs(buf_text(&out), stdout);
	buf_release(&out);
	return status;
}
