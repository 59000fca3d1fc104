# SPDX-License-Identifier: Apache-2.0
"""The lists of words in the source, in the JSON schema and in the documents are the same."""
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = (ROOT / "include/exuvia/exuvia.h").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "docs/report.schema.json").read_text(encoding="utf-8"))

LIST = re.compile(r"#define (EXU_\w+)\(X\)\s*\\\n((?:.*\\\n)*.*)\n")
ENTRY = re.compile(r'^\s*X\(EXU_\w+, (?:"([a-z0-9-]+)"|NULL)\)', re.MULTILINE)
USE = re.compile(r"enum (exu_\w+) \{ (EXU_\w+)\(EXU_ENUMERATOR\) \};\nEXU_API const char \*(\w+)\(enum (\w+) value\);")

# Where the schema has the words of an enumeration, below $defs unless it begins with a slash.
PLACES = {
    "exu_source_kind": "/properties/source/properties/kind",
    "exu_found_by": "python/properties/found_by",
    "exu_layout_from": "python/properties/layout_from",
    "exu_gil": "thread/properties/gil",
    "exu_merged_by": "thread/properties/merged_by",
    "exu_frame_kind": "thread/properties/frames/items/properties/kind",
    "exu_gap": "gap/properties/code",
    "exu_crash_access": "crash/properties/access",
    "exu_crash_place_kind": "crash/properties/place/properties/kind",
    "exu_wait_kind": "wait/properties/kind",
    "exu_hang_kind": "hang/properties/kind",
    "exu_call_class": "system_call/properties/class",
    "exu_descriptor_kind": "descriptor/oneOf/1/properties/kind",
    "exu_socket_state": "descriptor/oneOf/1/properties/state",
    "exu_wait_detail": "wait/properties/detail",
    "exu_owner_place": "owner/properties/place",
    "exu_evidence_kind": "evidence/properties/code",
    "exu_taken_by": "wait/properties/taken_by/items/properties/by",
    "exu_proof": "deadlock/properties/proof",
    "exu_module_file": "module/properties/file",
    "exu_symbols": "module/properties/symbols",
}
WITHOUT_LIST = {"exu_tristate", "exu_outcome", "exu_result"}  # true, false and null; the others are not in JSON
OTHER_WORDS = {"diagnostic/properties/code"}  # none of the header


def lists():
    """The words of each list of the header: {"EXU_GAPS": ["native-missing", ...]}; None is null."""
    return {name: [word or None for word in ENTRY.findall(body)] for name, body in LIST.findall(HEADER)}


def enumerations():
    """{"exu_gap": its words}"""
    words = lists()
    return {enumeration: words[name] for enumeration, name, _, _ in USE.findall(HEADER)}


def schema_at(place):
    node = SCHEMA if place.startswith("/") else SCHEMA["$defs"]
    for key in place.strip("/").split("/"):
        node = node[int(key) if isinstance(node, list) else key]
    return node


def schema_enums(node, place=""):
    """Every place of the schema that lists words."""
    if isinstance(node, dict):
        if "enum" in node:
            yield place
        for key, value in node.items():
            yield from schema_enums(value, f"{place}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from schema_enums(value, f"{place}/{index}")


def diagnostics():
    """[(constant, code, kind, meaning)]"""
    text = (ROOT / "src/base/diagnostics.def").read_text(encoding="utf-8")
    found = re.findall(r'^EXU_DIAGNOSTIC\((\w+), "([a-z0-9-]+)", (\w+),\s+"([^"]+)"\)$', text, re.MULTILINE)
    assert len(found) == text.count("\nEXU_DIAGNOSTIC(")
    return found


def test_every_enumeration_of_the_public_header_comes_from_a_list_and_has_a_name_function():
    declared = set(re.findall(r"^enum (exu_\w+) \{", HEADER, re.MULTILINE))
    assert declared - WITHOUT_LIST == set(enumerations()) == set(PLACES)
    assert all(function == f"{enumeration}_name" and argument == enumeration
               for enumeration, _, function, argument in USE.findall(HEADER))


def test_the_schema_has_the_words_of_every_enumeration_and_no_others():
    for enumeration, words in enumerations().items():
        assert len(words) == len(set(words)), enumeration
        listed = schema_at(PLACES[enumeration])["enum"]
        assert len(listed) == len(set(listed)), enumeration
        assert set(listed) == set(words), enumeration


def test_no_other_place_of_the_schema_has_words_of_its_own():
    known = {place if place.startswith("/") else f"/$defs/{place}" for place in set(PLACES.values()) | OTHER_WORDS}
    assert set(schema_enums(SCHEMA)) == known


def test_what_the_schema_says_of_a_gap_or_a_hang_is_of_words_that_it_lists():
    """`word: what it means; ...` in a description."""
    for enumeration in ("exu_gap", "exu_hang_kind", "exu_wait_kind"):
        node = schema_at(PLACES[enumeration])
        named = {word for part in node["description"].split(";") if ":" in part
                 for word in re.findall(r"[a-z]+(?:-[a-z]+)+", part.split(":")[0])}
        assert named and named <= set(node["enum"]), enumeration


def test_the_schema_and_the_documents_have_every_diagnostic_and_no_others():
    known = diagnostics()
    assert [code for _, code, _, _ in known] == sorted({code for _, code, _, _ in known})
    assert all(constant == code.upper().replace("-", "_") for constant, code, _, _ in known)
    assert schema_at("diagnostic/properties/code")["enum"] == [code for _, code, _, _ in known]
    words = {"MISSING": "yes", "NOTE": "no", "EITHER": "yes or no"}
    rows = re.findall(r"^\| (`.*)$", (ROOT / "docs/diagnostics.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [f"`{code}` | {words[kind]} | {meaning} |" for _, code, kind, meaning in known]


def test_every_diagnostic_is_said_somewhere_and_as_what_it_is_listed():
    calls = re.compile(r"\b(exu_incomplete|exu_incomplete_first|exu_info)\([^;]*?\bEXU_DIAGNOSTIC_(\w+)")
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.c")]
    said = {(constant, "NOTE" if function == "exu_info" else "MISSING")
            for text in sources for function, constant in calls.findall(text)}
    for constant, code, kind, _ in diagnostics():
        assert any(f"EXU_DIAGNOSTIC_{constant}" in text for text in sources), code
        assert (constant, {"NOTE": "MISSING", "MISSING": "NOTE"}.get(kind)) not in said, code
