# SPDX-License-Identifier: MIT
# A document in the Markdown that docs/ uses, as a page of the manual: awk -v name=plugmap-trace -v section=5 -v summary=...
# -v date=... -v version=... -v see_also='plugmap(1) ...' -f roff.awk -f markdown.awk FILE
# Tables become tagged lists: the first column is the tag. Links keep their text.
function inline(text,    out, start) {
    text = roff_escape(text)
    gsub(/\[\]/, "\\&[\\&]", text)
    while (match(text, /\[[^]]*\]\([^)]*\)/)) {
        start = substr(text, RSTART, RLENGTH)
        out = start
        sub(/^\[/, "", out)
        sub(/\]\(.*$/, "", out)
        text = substr(text, 1, RSTART - 1) out substr(text, RSTART + RLENGTH)
    }
    while (match(text, /\*\*[^*]+\*\*/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 2, RLENGTH - 4) "\\fR" substr(text, RSTART + RLENGTH)
    while (match(text, /\\\(ga[^\\]*(\\[^(][^\\]*|\\\([^g][^\\]*|\\\(g[^a][^\\]*)*\\\(ga/))
        text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 4, RLENGTH - 8) "\\fR" substr(text, RSTART + RLENGTH)
    return text
}

function flush() {
    if (paragraph == "") return
    roff_text(inline(paragraph))
    paragraph = ""
}

# Begins a paragraph; after a heading there is none to begin.
function begin() {
    flush()
    if (!after_heading) print list_depth ? ".IP" : ".PP"
    after_heading = 0
}

function item(tag) {
    flush()
    print ".IP " tag " 4"
    list_depth = 1
    after_heading = 0
}

function row(line,    cells, n, i, text) {
    gsub(/\\\|/, "\001", line)
    n = split(line, cells, /\|/)
    flush()
    if (line ~ /^\|[-| ]*$/) { in_rows = 1; return }
    if (!in_rows) { n_columns = n; for (i = 2; i < n; i++) heading[i] = trim(cells[i]); return }
    print ".TP"
    roff_text(inline(trim(cells[2])))
    text = ""
    for (i = 3; i < n; i++)
        if (trim(cells[i]) != "")
            text = text (text == "" ? "" : ". ") (i > 3 && heading[i] != "" ? toupper(substr(heading[i], 1, 1)) substr(heading[i], 2) ": " : "") trim(cells[i])
    gsub(/\001/, "|", text)
    roff_text(inline(text == "" ? "(none)" : text))
    after_table = 1
}

function trim(text) { gsub(/^ +| +$/, "", text); return text }

function verbatim_begin() {
    flush()
    if (!after_heading) print ".PP"
    print ".nf"
    after_heading = 0
}

BEGIN {
    roff_title(name, section, date, version)
    print ".SH NAME"
    roff_text(roff_escape(name " - " summary))
}

/^```/ {
    if (in_code) { print ".fi"; in_code = 0 }
    else { verbatim_begin(); in_code = 1 }
    next
}
in_code { roff_verbatim($0); next }
/^    / && !in_indented && (blank || after_heading) && !list_depth { verbatim_begin(); in_indented = 1 }
in_indented && /^    / { roff_verbatim(substr($0, 5)); blank = 0; next }
in_indented { print ".fi"; in_indented = 0 }
/^\|/ { row($0); blank = 0; next }
{ in_rows = 0 }
/^# / { print ".SH DESCRIPTION"; after_heading = 1; next }
/^##+ / {
    flush()
    list_depth = 0
    text = $0
    level = index(text, " ") - 1
    sub(/^#+ /, "", text)
    print (level == 2 ? ".SH " : ".SS ") (level == 2 ? inline(toupper(text)) : inline(text))
    after_heading = 1
    next
}
/^$/ { flush(); blank = 1; next }
/^- / { item("\\(bu"); paragraph = substr($0, 3); blank = 0; next }
/^[0-9]+\. / { item("\"" $1 "\""); paragraph = substr($0, length($1) + 2); blank = 0; next }
{
    if (blank || after_table) {
        if (list_depth && !/^ /) list_depth = 0
        begin()
    }
    blank = after_table = 0
    after_heading = 0
    line = $0
    sub(/^ +/, "", line)
    paragraph = paragraph == "" ? line : paragraph " " line
}
END {
    flush()
    if (in_indented) print ".fi"
    print ".SH SEE ALSO"
    n = split(see_also, pages, " ")
    for (i = 1; i <= n; i++) {
        paren = index(pages[i], "(")
        print ".BR " roff_escape(substr(pages[i], 1, paren - 1)) " " substr(pages[i], paren) (i < n ? "," : "")
    }
}
