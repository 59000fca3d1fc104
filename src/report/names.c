/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the report's enumerations, from the lists of the public header. */
#include "exuvia/exuvia.h"

#define WORD(constant, word) [constant] = (word),
#define LOOK_UP(words, value) ((size_t)(value) < sizeof(words) / sizeof *(words) ? (words)[value] : NULL)

const char *exu_tristate_name(enum exu_tristate value) {
  return value == EXU_YES ? "true" : value == EXU_NO ? "false" : NULL;
}

const char *exu_frame_kind_name(enum exu_frame_kind value) {
  static const char *const words[] = {EXU_FRAME_KINDS(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_gap_name(enum exu_gap value) {
  static const char *const words[] = {EXU_GAPS(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_crash_access_name(enum exu_crash_access value) {
  static const char *const words[] = {EXU_CRASH_ACCESSES(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_crash_place_kind_name(enum exu_crash_place_kind value) {
  static const char *const words[] = {EXU_CRASH_PLACES(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_gil_name(enum exu_gil value) {
  static const char *const words[] = {EXU_GIL_STATES(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_merged_by_name(enum exu_merged_by value) {
  static const char *const words[] = {EXU_MERGED_BY(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_wait_kind_name(enum exu_wait_kind value) {
  static const char *const words[] = {EXU_WAIT_KINDS(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_hang_kind_name(enum exu_hang_kind value) {
  static const char *const words[] = {EXU_HANG_KINDS(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_module_file_name(enum exu_module_file value) {
  static const char *const words[] = {EXU_MODULE_FILES(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_symbols_name(enum exu_symbols value) {
  static const char *const words[] = {EXU_SYMBOL_KINDS(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_found_by_name(enum exu_found_by value) {
  static const char *const words[] = {EXU_WAYS_FOUND(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_layout_from_name(enum exu_layout_from value) {
  static const char *const words[] = {EXU_LAYOUTS_FROM(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_source_kind_name(enum exu_source_kind value) {
  static const char *const words[] = {EXU_SOURCE_KINDS(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_descriptor_kind_name(enum exu_descriptor_kind value) {
  static const char *const words[] = {EXU_DESCRIPTOR_KINDS(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_socket_state_name(enum exu_socket_state value) {
  static const char *const words[] = {EXU_SOCKET_STATES(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_call_class_name(enum exu_call_class value) {
  static const char *const words[] = {EXU_CALL_CLASSES(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_wait_detail_name(enum exu_wait_detail value) {
  static const char *const words[] = {EXU_WAIT_DETAILS(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_owner_place_name(enum exu_owner_place value) {
  static const char *const words[] = {EXU_OWNER_PLACES(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_evidence_kind_name(enum exu_evidence_kind value) {
  static const char *const words[] = {EXU_EVIDENCE_KINDS(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_taken_by_name(enum exu_taken_by value) {
  static const char *const words[] = {EXU_WAYS_TAKEN(WORD)};
  return LOOK_UP(words, value);
}

const char *exu_proof_name(enum exu_proof value) {
  static const char *const words[] = {EXU_PROOFS(WORD)};
  return LOOK_UP(words, value);
}
