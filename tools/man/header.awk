# SPDX-License-Identifier: MIT
# A public header as a page of the manual: awk -v date=... -v version=... -f roff.awk -f header.awk include/plugmap/iommu.h
# The comment at the top is the description; each declaration has its comment. With -v aliases=FOLDER, each function also has
# a page there, which leads to this one.
function inline(text) {
    text = roff_escape(text)
    # @parameter
    while (match(text, /@[A-Za-z_][A-Za-z_0-9]*/))
        text = substr(text, 1, RSTART - 1) "\\fI" substr(text, RSTART + 1, RLENGTH - 1) "\\fR" substr(text, RSTART + RLENGTH)
    return text
}

# "plugmap-iommu" of iommu.h; plugmap.h has the name of the header.
function page_name(header) { return header == "plugmap.h" ? header : "plugmap-" substr(header, 1, length(header) - 2) }

# Without the name of what it describes: that is the heading.
function without_name(comment, name) {
    sub(/^[ \n]+/, "", comment)
    if (index(comment, name ": ") != 1) return comment
    comment = substr(comment, length(name) + 3)
    return toupper(substr(comment, 1, 1)) substr(comment, 2)
}

function flush(    text, length_of_tag) {
    if (paragraph == "") return
    if (paragraph ~ /^@[A-Za-z_0-9, @]+: /) {
        match(paragraph, /^@[A-Za-z_0-9, @]+: /)
        length_of_tag = RLENGTH
        print ".TP"
        print inline(substr(paragraph, 1, length_of_tag - 2))
        paragraph = substr(paragraph, length_of_tag + 1)
        fresh = 0
    } else {
        if (!fresh) print ".PP"
        fresh = 0
    }
    text = inline(paragraph)
    gsub(/(^| )(Returns|Errors|Threads):/, "&\\fR", text)
    gsub(/Returns:\\fR/, "\\fB&", text)
    gsub(/Errors:\\fR/, "\\fB&", text)
    gsub(/Threads:\\fR/, "\\fB&", text)
    roff_text(text)
    paragraph = ""
}

# Prints a comment; lines are separated by newlines.
function print_comment(comment,    lines, n, i, line) {
    n = split(comment, lines, "\n")
    for (i = 1; i <= n; i++) {
        line = lines[i]
        if (line ~ /^     /) {
            flush()
            print ".PP\n.nf"
            for (; i <= n && lines[i] != ""; i++) roff_verbatim(substr(lines[i], 2))
            print ".fi"
            fresh = 0
            continue
        }
        if (line ~ /^ *$/ || line ~ /^ ?(@[A-Za-z_]|Returns: |Errors: )/) flush()
        sub(/^ +/, "", line)
        paragraph = paragraph == "" ? line : paragraph " " line
    }
    flush()
}

function print_code(code,    lines, n, i) {
    n = split(code, lines, "\n")
    print ".nf"
    for (i = 1; i <= n; i++) if (lines[i] != "") roff_verbatim(lines[i])
    print ".fi"
}

function item_name(code,    name) {
    if (code ~ /^#define/) {
        split(code, words, /[ (]/)
        return words[2]
    }
    if (code ~ /^typedef [^{]*\(\*/ && match(code, /\(\*[A-Za-z_0-9]+/)) return substr(code, RSTART + 2, RLENGTH - 2)
    if (code ~ /^typedef/ && match(code, /}[^;]*;/)) return substr(code, RSTART + 2, RLENGTH - 3)
    if (code ~ /^typedef [^(]*;/ && match(code, /[A-Za-z_0-9]+;/)) return substr(code, RSTART, RLENGTH - 1)
    if (code ~ /^struct/) { split(code, words, " "); return words[2] }
    match(code, /[A-Za-z_0-9]+\(/)
    return substr(code, RSTART, RLENGTH - 1)
}

function add_item(    name) {
    if (sub(/^PM_EXPORT /, "", declaration)) gsub(/\n          /, "\n", declaration)
    name = item_name(declaration)
    if (declaration !~ /^(#define|typedef|struct)/) {
        kind = 2
        synopsis = synopsis declaration
    } else {
        kind = declaration ~ /^#define/ ? 3 : 1
    }
    n_items[kind]++
    names[kind, n_items[kind]] = name
    codes[kind, n_items[kind]] = declaration
    comments[kind, n_items[kind]] = doc
    declaration = doc = ""
}

function clean(line) {
    sub(/^ ?\/\*\*?/, "", line)
    sub(/ *\*\/$/, "", line)
    sub(/^ \*/, "", line)
    return line
}

/^#include <plugmap\// {
    header = $2
    gsub(/<plugmap\/|>/, "", header)
    includes[++n_includes] = header
}
NR == 1 { next }
in_comment || (/^\/\*/ && declaration == "") {
    if (!in_comment) doc = ""
    doc = doc (doc == "" ? "" : "\n") clean($0)
    in_comment = !/\*\/ *$/
    if (!in_comment && file_doc == "") { file_doc = doc; doc = "" }
    next
}
doc == "" { next }
declaration == "" && !/^(PM_EXPORT|typedef|struct|#define|static)/ { if ($0 == "") next; doc = ""; next }
{
    declaration = declaration $0 "\n"
    is_define = declaration ~ /^#define/
    if (declaration ~ /^static/) { if (/^{/) { sub(/\n?{\n$/, ";\n", declaration); add_item() } next }
    if (is_define) { if ($0 == "") add_item(); next }
    if (declaration ~ /{/ ? /^}/ : /;$/) add_item()
}
END {
    file = FILENAME
    sub(/.*\//, "", file)
    summary = file_doc
    gsub(/\n/, " ", summary)
    gsub(/  +/, " ", summary)
    sub(/^ /, "", summary)
    sub(/^Pm[A-Za-z]+: /, "", summary)
    if (match(summary, /\. /)) summary = substr(summary, 1, RSTART - 1)
    sub(/[.:]? *$/, "", summary)
    if (summary ~ /^[A-Z][a-z]/) summary = tolower(substr(summary, 1, 1)) substr(summary, 2)
    roff_title(page_name(file), 3, date, version)
    print ".SH NAME"
    roff_text(roff_escape(page_name(file) " - " summary))
    print ".SH SYNOPSIS\n.nf"
    roff_verbatim("#include <plugmap/" file ">")
    if (synopsis != "") print ".sp"
    n = split(synopsis, lines, "\n")
    for (i = 1; i <= n; i++) if (lines[i] != "") roff_verbatim(lines[i])
    print ".fi\n.SH DESCRIPTION"
    fresh = 1
    print_comment(file_doc)
    title[1] = "TYPES"; title[2] = "FUNCTIONS"; title[3] = "MACROS"
    for (kind = 1; kind <= 3; kind++) {
        if (n_items[kind]) print ".SH " title[kind]
        for (i = 1; i <= n_items[kind]; i++) {
            print ".SS " roff_escape(names[kind, i])
            if (kind == 2 && aliases != "") {
                alias = aliases "/" names[kind, i] ".3"
                print ".so man3/" page_name(file) ".3" > alias
                close(alias)
            }
            print_code(codes[kind, i])
            fresh = 0
            print_comment(without_name(comments[kind, i], names[kind, i]))
        }
    }
    print ".SH SEE ALSO"
    print ".BR libplugmap (7)" (n_includes ? "," : "")
    for (i = 1; i <= n_includes; i++) print ".BR " roff_escape(page_name(includes[i])) " (3)" (i < n_includes ? "," : "")
}
