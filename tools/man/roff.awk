# SPDX-License-Identifier: MIT
# For markdown.awk and header.awk: text for the man macros.
function roff_escape(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/'/, "\\(aq", text)
    gsub(/\^/, "\\(ha", text)
    gsub(/~/, "\\(ti", text)
    gsub(/`/, "\\(ga", text)
    return text
}

# A line of an example. A leading period would be a request.
function roff_verbatim(line) {
    line = roff_escape(line)
    sub(/ +$/, "", line)
    if (line ~ /^\./) line = "\\&" line
    print line
}

# Prints filled text in short lines. The text is escaped, and may change fonts.
function roff_text(text,    words, n, i, line) {
    n = split(text, words, /[ \t\n]+/)
    line = ""
    for (i = 1; i <= n; i++) {
        if (words[i] == "") continue
        if (line != "" && length(line) + 1 + length(words[i]) > 78) { print line; line = "" }
        if (line == "" && words[i] ~ /^\./) words[i] = "\\&" words[i]
        line = line == "" ? words[i] : line " " words[i]
    }
    if (line != "") print line
}

function roff_title(name, section, date, version) {
    printf ".TH %s %s \"%s\" \"plugmap %s\" \"plugmap manual\"\n", toupper(name), section, date, version
}
