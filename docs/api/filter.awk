# SPDX-License-Identifier: MIT
# Doxygen's input filter for the public headers: the first comment describes a group that has all that follows, "@name:" begins
# a parameter or describes the member of that name, "Errors:" and the like begin a paragraph. Works with mawk.

function is_code(text) { return text ~ /^     / }

# Links to constants and headers; names of parameters as code.
function mark_up(text,    done, name) {
    gsub(/#[a-z]/, "\\\\&", text)
    while (match(text, /@[a-z][a-z0-9_]*|Pm[A-Z][A-Za-z0-9]*|#?PM_[A-Z0-9_]*[A-Z0-9]|[a-z_\/]+\.h\>?/)) {
        name = substr(text, RSTART, RLENGTH)
        if (name ~ /^@/) name = "`" substr(name, 2) "`"
        else if (name ~ /^PM_/) name = "#" name
        else if (name in header && text !~ /^\\(defgroup|mainpage)/) name = "\\ref " header[name] " \"" name "\""
        done = done substr(text, 1, RSTART - 1) name
        text = substr(text, RSTART + RLENGTH)
    }
    return done text
}

# "PmThing: what it is" as a sentence.
function without_name(text) {
    return sub(/^ ?Pm[A-Za-z0-9]+: /, "", text) ? toupper(substr(text, 1, 1)) substr(text, 2) : text
}

# Where a sentence begins with a heading or "@name:", it begins a line.
function split_sentences(text) {
    gsub(/\. (Errors|Returns): /, ".\n&", text)
    gsub(/\. @[a-z][a-z0-9_]*(, @[a-z0-9_]+)*: /, ".\n&", text)
    gsub(/\.\n\. /, ".\n", text)
    return text
}

# Prints the comment; of a type without its members, which member[] gets.
function print_comment(is_type,    i, n, line, names, item) {
    delete member
    item = ""
    print "/**"
    n = split(split_sentences(comment), line, "\n")
    for (i = 1; i <= n; i++) {
        if (is_code(line[i])) { print line[i]; continue }
        if (i == 1) line[i] = without_name(line[i])
        if (match(line[i], /^ ?@[A-Za-z][A-Za-z0-9_]*(, @[A-Za-z0-9_]+)*: /)) {
            names = substr(line[i], 1, RLENGTH - 2)
            gsub(/[@ ]/, "", names)
            line[i] = substr(line[i], RLENGTH + 1)
            if (is_type) item = names
            else line[i] = "\\param " names " " line[i]
        } else if (line[i] ~ /^ *$/) item = ""
        sub(/^ ?Returns: /, "\\return ", line[i])
        if (sub(/^ ?Errors: /, "\\par Errors\n", line[i])) item = ""
        if (match(line[i], /^ ?(Threads|Kernel|Frozen|Quarantine): /))
            line[i] = "\\par " substr(line[i], 1, RLENGTH - 2) "\n" substr(line[i], RLENGTH + 1)
        if (item != "") describe(item, mark_up(line[i]))
        else print mark_up(line[i])
    }
    print "*/"
}

function describe(names, text,    i, n, name) {
    n = split(names, name, ",")
    for (i = 1; i <= n; i++) member[name[i]] = member[name[i]] " " text
}

BEGIN {
    while (("ls include/plugmap" | getline name) > 0) {
        header[name] = name == "plugmap.h" ? "index" : "header_" substr(name, 1, length(name) - 2)
        header["plugmap/" name] = header[name]
        # An object's name leads to its group, too.
        file = "include/plugmap/" name
        for (i = 1; i <= 3; i++) getline line < file
        close(file)
        if (match(line, /^ \* Pm[A-Za-z]+: /)) header[substr(line, 4, RLENGTH - 5)] = header[name]
    }
}

FNR == 1 {
    base = FILENAME
    sub(/.*\//, "", base)
    group = header[base]
    while ((getline next_line < FILENAME) > 0)
        if (next_line ~ /^struct .*\{$/) defined[substr(next_line, 8, length(next_line) - 9) ";"]
    next
}
/^G_DEFINE_AUTOPTR/ { next }

# A comment, up to its end.
/^\/\*/ {
    is_doc = /^\/\*\*/
    comment = ""
    text = $0
    sub(/^\/\*+/, "", text)
    while (text !~ /\*\/$/ && (getline next_line) > 0) {
        comment = comment text "\n"
        text = next_line
        sub(/^ \*( |$)/, " ", text)
        if (next_line ~ /^ \*\/$/) text = "*/"
    }
    sub(/ *\*\/$/, "", text)
    comment = comment text
    sub(/^\n/, "", comment)
    if (!begun) {
        begun = 1
        title = comment
        gsub(/\n/, "", title)
        sub(/^ /, "", title)
        sub(/ *[:.,(].*/, "", title)
        heading = group == "index" ? "\\mainpage plugmap" : "\\defgroup " group " " title
        comment = heading "\n" without_name(comment)
        print_comment(0)
        if (group != "index") print "/** @{ */"
        next
    }
    pending = is_doc
    if (!is_doc) print "\n"
    next
}

/^typedef struct [A-Za-z]+ [A-Za-z]+;$/ && !pending && !($3 in defined) { print "/** Opaque. */" }
pending {
    pending = 0
    in_type = /\{$/
    print_comment(in_type)
    commented = 1
}
in_type && /^\}/ { in_type = 0 }
in_type {
    name = $0
    if (name ~ /\(\*/) { sub(/^[^(]*\(\*/, "", name); sub(/\).*/, "", name) }
    else { sub(/[;,\[=].*/, "", name); sub(/ +$/, "", name); sub(/.*[ *]/, "", name) }
    if (name in member) print "/**" member[name] " */"
}
# One comment for several macros.
/^#define PM_/ {
    if (NR == macro_line + 1 && !commented) print "/**" comment "*/"
    macro_line = NR
}
{ print; commented = 0 }
END { if (group != "index") print "/** @} */" }
