/* complete.h - completion: the scripts for shells, and what they ask.
 *
 * The scripts know nothing: they run `banger __complete WORD...` with the words of the command line
 * up to the cursor, the last one unfinished, and get one line about files, then one line per
 * candidate: the word, a tab, what it is.  Candidates come from the tables of commands and options;
 * names come from the daemon if one runs, within COMPLETE_MS.  None is ever started.
 */
#pragma once

enum {
	COMPLETE_MS = 200,
};

/* The files of cli/completion/. */
extern const char completion_bash[];
extern const char completion_zsh[];
extern const char completion_fish[];

/* The exit status: always 0. */
int complete_words(int argc, char **argv);
