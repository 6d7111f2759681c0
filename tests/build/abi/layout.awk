# SPDX-License-Identifier: MIT
# Reads headers and writes a C program that prints where each member of a public struct is, and each enumerator's value.
BEGIN {
    print "#include <stdio.h>\n#include <plugmap/fake.h>\n#include <plugmap/plugmap.h>\nint main(void)\n{"
}
/^(typedef struct|struct Pm[A-Za-z]*) \{$/ { inside = "struct"; n = 0; name = $2; next }
/^typedef enum \{$/ { inside = "enum"; next }
inside == "enum" && match($0, /^ +PM_[A-Z0-9_]+/) {
    value = substr($0, RSTART, RLENGTH)
    gsub(/ /, "", value)
    print "    printf(\"value " value " %d\\n\", (int)" value ");"
}
inside == "struct" && /^ / {
    text = continued $0
    continued = ""
    if (text !~ /;/) { continued = text; next }
    sub(/;.*/, "", text)
    if (match(text, /\(\*[a-z_]+\)/)) member[++n] = substr(text, RSTART + 2, RLENGTH - 3)
    else {
        sub(/\[.*/, "", text)
        sub(/.*[ *]/, "", text)
        member[++n] = text
    }
}
/^\}/ && inside != "" {
    if (inside == "struct") {
        type = $2
        sub(/;/, "", type)
        if (type == "" || type == "}") type = "struct " name
        kind = member[1] == "struct_size" ? "grows" : "frozen"
        print "    printf(\"" kind " " type " %zu\\n\", sizeof(" type "));"
        for (i = 1; i <= n; i++)
            print "    printf(\"member " type "." member[i] " %zu %zu\\n\", offsetof(" type ", " member[i] \
                "), sizeof(((" type " *)0)->" member[i] "));"
    }
    inside = ""
}
END { print "    return 0;\n}" }
