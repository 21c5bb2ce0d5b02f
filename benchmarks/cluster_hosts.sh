#!/bin/sh
# Two hosts in two network namespaces that share a disk: sudo sh benchmarks/cluster_hosts.sh DATA FOLDER [headstart study options]
# Scheduler and study run here, a worker on each host; one is killed in the middle, and a third is added. FOLDER gets
# alone/, the study in one process, and hosts/; the script says whether their tables agree. Needs ip (iproute2) and root.
set -eu
data=$1 out=$2
shift 2
python=${PYTHON:-python}
export OMP_NUM_THREADS=1
mkdir -p "$out"
processes=
clean() {
    for process in $processes; do kill "$process" 2>/dev/null || true; done
    for host in 1 2; do ip netns del "hs$host" 2>/dev/null || true; done
    ip link del hsbridge 2>/dev/null || true
}
trap clean EXIT
trap 'exit 1' INT TERM

ip link add hsbridge type bridge
ip addr add 10.77.0.254/24 dev hsbridge
ip link set hsbridge up
for host in 1 2; do
    ip netns add "hs$host"
    ip link add "hsveth$host" type veth peer name eth0 netns "hs$host"
    ip link set "hsveth$host" master hsbridge up
    ip netns exec "hs$host" ip addr add "10.77.0.$host/24" dev eth0
    ip netns exec "hs$host" ip link set eth0 up
    ip netns exec "hs$host" ip link set lo up
done

worker() { # HOST: started directly, without a nanny that would start a killed one again
    ip netns exec "hs$1" env OMP_NUM_THREADS=1 "$python" -m distributed.cli.dask_worker tcp://10.77.0.254:8786 \
        --host "10.77.0.$1" --nthreads 1 --no-nanny --no-dashboard --local-directory "$out/dask-$1" >"$out/worker-$1.txt" 2>&1 &
    last=$!
    processes="$processes $last"
}
"$python" -m distributed.cli.dask_scheduler --host 10.77.0.254 --port 8786 --no-dashboard >"$out/scheduler.txt" 2>&1 &
processes="$processes $!"
worker 1
worker 2
second=$last

"$python" -m headstart study "$data" --budget none --out "$out/alone" "$@" >"$out/alone.txt" 2>&1
"$python" -m headstart study "$data" --budget none --out "$out/hosts" --cluster tcp://10.77.0.254:8786 "$@" >"$out/hosts.txt" 2>&1 &
study=$!
while ! ls "$out"/hosts/trials/A-*/metrics.csv >/dev/null 2>&1; do kill -0 "$study"; sleep 0.2; done
kill -9 "$second"
echo "killed the worker of host 2 in the middle of a trial, and started another one there"
worker 2
wait "$study"
"$python" - "$out" <<'PYTHON'
import csv, json, sys
from pathlib import Path

def table(name):
    with Path(sys.argv[1], name, "table.csv").open() as file:
        return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in csv.DictReader(file)]

trials = json.loads(Path(sys.argv[1], "hosts", "study.json").read_text())["trials"]
hosts = [json.loads(file.read_text()) for file in Path(sys.argv[1], "hosts", "trials").glob("*/environment.json")]
print(f"{len(trials)} trials ended, {sum(each['error'] is None for each in trials)} of them well, {len(hosts)} runs")
print("the tables are equal to the last digit" if table("alone") == table("hosts") else "THE TABLES DIFFER")
PYTHON
grep -c "Starting established connection to tcp://10.77.0" "$out"/worker-*.txt || true
