#!/bin/sh
# After a failed job: the logs of set-up and of every container, in a folder for the artifact.
#
#   ci/collect_logs.sh FOLDER
set -eu
folder=${1:?usage: ci/collect_logs.sh FOLDER}
mkdir -p "$folder"
if [ -d .state/log ]; then cp -R .state/log "$folder/set-up"; fi
if [ -f .state/env.sh ]; then . ./.state/env.sh; fi
# Without an engine (lint, unit tests) there are no containers.
docker ps --all --format '{{.Names}}' 2>/dev/null | while read -r name; do
    docker logs --timestamps --tail 5000 "$name" > "$folder/$name.log" 2>&1 || true
done
docker ps --all > "$folder/containers.txt" 2>&1 || true
