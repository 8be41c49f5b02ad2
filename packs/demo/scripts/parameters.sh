# The other scripts of this folder source this file. Parameters arrive on stdin as one JSON object. The schemas of the actions
# allow no quotes and backslashes in the values, so sed can find them. For free texts, use jq or another language.

parameters=$(tr '\n' ' ')

# text KEY prints the string value of a key, or nothing.
text() {
	printf '%s\n' "$parameters" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p"
}

# number KEY prints the whole number of a key, or nothing.
number() {
	printf '%s\n' "$parameters" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\([0-9][0-9]*\).*/\1/p"
}
