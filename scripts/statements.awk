# Turns sql/queries/*.sql into C: enum stmt { STMT_<NAME>, … } and a table of {name, SQL, number of parameters, file}.
# A statement starts with a line `-- name: <name>`; the comment lines under it are its documentation and stay in SQL.
# Called by the Makefile; checked against a migrated database by the tests (every statement is prepared once).
function escape(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return s }
function flush() {
	if (name == "") return
	count++
	names[count] = name; bodies[count] = body; params[count] = highest; files[count] = file
}
/^-- name: / { flush(); name = $3; body = ""; highest = 0; file = FILENAME; if (seen[name]++) { print FILENAME ": " name " stands twice" > "/dev/stderr"; failed = 1; exit 1 } next }
name != "" && !/^[ \t]*--/ && !/^[ \t]*$/ {
	line = $0
	body = body "\n\t \"" escape(line) "\\n\""
	while (match(line, /\$[0-9]+/)) {
		n = substr(line, RSTART + 1, RLENGTH - 1) + 0
		if (n > highest) highest = n
		line = substr(line, RSTART + RLENGTH)
	}
}
END {
	if (failed) exit 1
	flush()
	print "/* Made from sql/queries by scripts/statements.awk. */\n#ifndef TIDEGATE_GEN_STATEMENTS_H\n#define TIDEGATE_GEN_STATEMENTS_H\n\nenum stmt {" > header
	for (i = 1; i <= count; i++) print "\tSTMT_" toupper(names[i]) "," > header
	print "\tSTMT_COUNT\n};\n\nstruct statement {\n\tconst char *name;\n\tconst char *sql;\n\tint parameters;\n\tconst char *file;\n};\n\nextern const struct statement statements[STMT_COUNT + 1];\n\n#endif" > header
	print "/* Made from sql/queries by scripts/statements.awk. */\n#include \"statements.h\"\n\nconst struct statement statements[STMT_COUNT + 1] = {" > source
	for (i = 1; i <= count; i++) print "\t{\"" names[i] "\"," bodies[i] ",\n\t " params[i] ", \"" files[i] "\"}," > source
	print "\t{0, 0, 0, 0},\n};" > source
}
