#!/bin/sh
#
# Brings the tables of Temporal's two databases to the version of this image. It runs before every start of the server
# and changes nothing when they are up to date. The connection comes from SQL_HOST and its like.

set -eu

setup() {
	echo "schema: $1"
	temporal-sql-tool --database "$1" setup-schema --version 0.0
	temporal-sql-tool --database "$1" update-schema --schema-name "$2"
}

setup temporal postgresql/v12/temporal
setup temporal_visibility postgresql/v12/visibility
