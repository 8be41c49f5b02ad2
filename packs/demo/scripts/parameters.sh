# Sourced by the scripts next to it. Parameters arrive on stdin as one JSON object. The schemas of the actions keep
# quotes and backslashes out of the values, so that sed can find them; where values are free, use jq or another language.

parameters=$(tr '\n' ' ')

# text KEY prints the string value of a key, or nothing.
text() {
	printf '%s\n' "$parameters" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p"
}

# number KEY prints the whole number of a key, or nothing.
number() {
	printf '%s\n' "$parameters" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\([0-9][0-9]*\).*/\1/p"
}
