# SPDX-License-Identifier: MIT
# compare.awk PUBLISHED LAYOUT: whether programs built with the published layout run with LAYOUT.
function fail(message) { print message; failed = 1 }
function owner(member) { sub(/\.[^.]*$/, "", member); return member }
# "struct PmKernel" is two words.
{ sub(/struct /, "") }
/^#/ { next }
NR == FNR { published[$1 " " $2] = $3 " " $4; if ($1 != "member" && $1 != "value") size[$2] = $3; next }
{ now[$1 " " $2] = $3 " " $4 }
$1 == "member" && owner($2) in size && !(($1 " " $2) in published) {
    if ("frozen " owner($2) in published) fail($2 " was added to a frozen struct")
    else if ($3 < size[owner($2)]) fail($2 " was added at " $3 ", inside the " size[owner($2)] " bytes that were published")
    else if ($4 % 8 != 0) fail($2 " was added with " $4 " bytes: leave no padding")
}
END {
    for (line in published) {
        split(line, word, " ")
        if (!(line in now)) fail(line " was published and is gone")
        else if (word[1] == "grows" ? now[line] + 0 < published[line] + 0 : now[line] != published[line])
            fail(line " was published as " published[line] " and is " now[line])
    }
    exit failed
}
