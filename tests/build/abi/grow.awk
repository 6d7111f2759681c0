# SPDX-License-Identifier: MIT
# Makes headers of another version: structs that start with struct_size lose their last member (-v as=old) or gain one of 16
# bytes (-v as=new).
/^typedef struct \{$/ { inside = 1; body = $0; n = 0; next }
!inside { print; next }
!/^\}/ {
    # A member may take more than one line.
    if (n == 0 || member[n] ~ /;$/) n++
    else $0 = member[n] "\n" $0
    member[n] = $0
    next
}
{
    if (member[1] ~ /size_t struct_size;/) {
        if (as == "old") n--
        else member[++n] = "    uint64_t added[2];"
        n_grown++
    }
    print body
    for (i = 1; i <= n; i++) print member[i]
    print
    inside = 0
    delete member
}
