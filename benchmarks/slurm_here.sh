#!/bin/sh
# A study on a real SLURM of one machine: sudo sh benchmarks/slurm_here.sh DATA FOLDER [arguments of study]
#
# Starts munge, slurmctld and one slurmd (Debian: apt-get install slurm-wlm munge), carries out the study through
# `--cluster slurm:FILE`, cancels one of its jobs on the way, and the same study in one process; then compares the
# tables without their times.
set -eu
data=$1 out=$2
shift 2
headstart="${HEADSTART:-.venv/bin/headstart}"
mkdir -p "$out" /run/munge /tmp/slurm-here
host=$(hostname -s)
cores=$(nproc)
cat > /tmp/slurm-here/slurm.conf <<CONF
ClusterName=here
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
StateSaveLocation=/tmp/slurm-here/state
SlurmdSpoolDir=/tmp/slurm-here/spool
SlurmctldPidFile=/tmp/slurm-here/slurmctld.pid
SlurmdPidFile=/tmp/slurm-here/slurmd.pid
SlurmctldLogFile=/tmp/slurm-here/slurmctld.log
SlurmdLogFile=/tmp/slurm-here/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores State=UNKNOWN
PartitionName=here Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=/tmp/slurm-here/slurm.conf
stop() {
    scancel --user root 2>/dev/null || true
    for daemon in slurmd slurmctld; do
        [ ! -f "/tmp/slurm-here/$daemon.pid" ] || kill "$(cat /tmp/slurm-here/$daemon.pid)" 2>/dev/null || true
    done
}
trap stop EXIT
chown munge: /run/munge
pidof munged > /dev/null || runuser -u munge -- /usr/sbin/munged
slurmctld
slurmd
for _ in $(seq 30); do
    sinfo --noheader --format %t 2>/dev/null | grep -q idle && break
    sleep 1
done
sinfo

cat > "$out/slurm.toml" <<TOML
jobs = 2
cores = 1
memory = "2GB"
walltime = "00:30:00"
interface = "lo"
job_extra_directives = ["--mem=0", "--output=/dev/null"]
TOML
"$headstart" study "$data" --cluster "slurm:$out/slurm.toml" --out "$out/slurm" "$@" &
study=$!
for _ in $(seq 300); do  # one job is cancelled once the first trial is under way
    if [ -n "$(ls "$out/slurm/trials" 2>/dev/null)" ]; then
        scancel "$(squeue --noheader --states=RUNNING --format %i | head -n 1)" && break
    fi
    sleep 0.2
done
wait "$study"
sacct 2>/dev/null || squeue
OMP_NUM_THREADS=1 "$headstart" study "$data" --out "$out/alone" "$@"
python3 - "$out/slurm/table.csv" "$out/alone/table.csv" <<'PYTHON'
import csv, sys
tables = [[{k: v for k, v in row.items() if "second" not in k and "hour" not in k} for row in csv.DictReader(open(path))]
          for path in sys.argv[1:]]
assert tables[0] == tables[1], tables
print(f"{len(tables[0])} rows, equal to the last digit but for times")
PYTHON
