#!/bin/sh
#
# Creates the namespace once the server answers; an existing one is left as it is. The server is named by
# TEMPORAL_ADDRESS, the namespace by TEMPORAL_NAMESPACE.

set -eu

attempts=60
until temporal operator cluster health >/dev/null 2>&1; do
	attempts=$((attempts - 1))
	if [ "$attempts" -eq 0 ]; then
		echo "namespace: $TEMPORAL_ADDRESS does not answer; see: docker compose logs temporal" >&2
		exit 1
	fi
	sleep 1
done

if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
	echo "namespace: $TEMPORAL_NAMESPACE exists"
	exit 0
fi
temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
