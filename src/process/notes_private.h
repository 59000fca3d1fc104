/* SPDX-License-Identifier: Apache-2.0 */
/* What is inside each kind of note. */
#ifndef EXUVIA_PROCESS_NOTES_PRIVATE_H
#define EXUVIA_PROCESS_NOTES_PRIVATE_H

#include "base/cursor.h"
#include "process/notes.h"

/* Take a note's descriptor in. Returns false when it is damaged; what was readable has been taken then. */
typedef bool exu_note_reader(struct exu_notes *notes, struct exu_cursor descriptor);

exu_note_reader exu_note_prstatus;
exu_note_reader exu_note_prpsinfo;
exu_note_reader exu_note_auxv;
exu_note_reader exu_note_siginfo;
exu_note_reader exu_note_file;
exu_note_reader exu_note_arm_tls;

#endif
