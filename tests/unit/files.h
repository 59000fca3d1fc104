/* SPDX-License-Identifier: Apache-2.0 */
/* Scratch files for tests. Everything here asserts that it worked. */
#ifndef EXUVIA_TESTS_FILES_H
#define EXUVIA_TESTS_FILES_H

#include <stddef.h>
#include <stdint.h>

/* A new empty directory, and its removal with all that is in it. */
char *scratch_create(void);
void scratch_remove(char *directory);

/* "DIRECTORY/NAME", to be freed. */
char *path_in(const char *directory, const char *name);

/* A file's bytes, to be freed; and the reverse. */
uint8_t *read_whole(const char *path, size_t *size);
void write_whole(const char *path, const void *bytes, size_t size);
void copy_whole(const char *from, const char *to);

/* Run a shell command that must succeed. Never with anything but names that the test made. */
void run_command(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
