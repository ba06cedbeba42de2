#!/bin/sh
# Does one song by the orchestrator's API and looks at what came of it. Ends with 0 only if all of it is right.
#   smoke_test.sh [URL] [TOKEN] [SONG]
# URL: http://localhost (the gateway's) if none is given. TOKEN: see create_jwt.py; made with the documents' secret if none is
# given. SONG: the example of the repository if none is given. MODEL=demucs, VARIATION=default and SECONDS_LEFT=600 say more.
# Work that was done before shows nothing of the workers, so it is an error; with SKIPPED=ok its outputs are looked at.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
url=${1:-http://localhost}
python=$here/.venv/bin/python
[ -x "$python" ] || python=python3
token=${2:-$("$python" "$here/scripts/create_jwt.py")}
song=${3:-$here/examples/take-it-all-apart/mix.flac}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 077
printf 'Authorization: Bearer %s\nContent-Type: application/json\n' "$token" >"$work/headers" # not for everybody who lists processes

fail() {
    echo "smoke_test: $*" >&2
    exit 1
}

call() {
    curl -sS --fail-with-body --max-time 120 -H "@$work/headers" "$@" >"$work/answer" ||
        fail "$1 was refused: $(shown)"
}

# The last answer, without what a signed URL allows.
shown() {
    sed -E 's/[?][^" ]*/?.../g' "$work/answer"
}

# field EXPRESSION: of the last answer, named `it`
field() {
    "$python" -c "import json, sys; it = json.load(open(sys.argv[1])); print($1)" "$work/answer"
}

[ -s "$song" ] || fail "there is no song $song"
ready=60
while call "$url/health" && [ "$(field 'it["status"]')" != ok ]; do
    [ "$ready" -gt 0 ] || fail "the service is not ready: $(shown)"
    ready=$((ready - 1))
    sleep 1
done

call "$url/upload" -d "{\"filename\": \"smoke.${song##*.}\"}"
file_id=$(field 'it["file_id"]')
curl -sS --max-time 600 -o "$work/put" -w '%{http_code}' -T "$song" "$(field 'it["upload_url"]')" >"$work/status"
case $(cat "$work/status") in
200 | 201) ;;
409) file_id=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["file_id"])' "$work/put") ;; # it was here before
*) fail "the upload was answered with $(cat "$work/status"): $(cat "$work/put")" ;;
esac

call "$url/process" -d "{\"file_id\": \"$file_id\", \"model\": \"${MODEL:-demucs}\", \"variation\": \"${VARIATION:-default}\"}"
job_id=$(field 'it["job_id"]')
[ "$(field 'it["skipped"]')" = False ] || [ "${SKIPPED:-}" = ok ] ||
    fail "the work was done before, by job $job_id: give another song, or say SKIPPED=ok"

left=${SECONDS_LEFT:-600}
while :; do
    call "$url/jobs/$job_id"
    case $(field 'it["status"]') in
    completed) break ;;
    failed | canceled) fail "the job ended: $(shown)" ;;
    esac
    [ "$left" -gt 0 ] || fail "the job is not done: $(shown)"
    left=$((left - 1))
    sleep 1
done

[ "$(field 'len(it["outputs"])')" -ge 1 ] || fail "the job made nothing"
field '"\n".join(each["sha256"] + " " + each["url"] for each in it["outputs"])' >"$work/outputs"
count=0
while read -r sha256 output; do
    curl -sS --fail-with-body --max-time 600 -o "$work/stem" "$output" || fail "an output cannot be fetched: ${output%%\?*}"
    [ "$(sha256sum "$work/stem" | cut -d ' ' -f 1)" = "$sha256" ] || fail "an output came damaged: ${output%%\?*}"
    count=$((count + 1))
done <"$work/outputs"

call "$url/status/$file_id"
[ "$(field "[each['status'] for each in it['jobs'] if each['job_id'] == '$job_id']")" = "['completed']" ] ||
    fail "the status of the file does not tell of the job: $(shown)"
echo "smoke_test: job $job_id made $count outputs, each as its hash says"
