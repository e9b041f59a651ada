#!/usr/bin/env bash
# One virtual environment for each rival of benchmarks/sequential.py, its versions pinned; about 1.5 GB each.
#
#   bash benchmarks/make_rivals.sh FOLDER [NAME ...]      NAME: rectools, replay, recbole; all of them where none is given
#
# Prints the options that benchmarks/sequential.py takes. torch comes first, so that no rival chooses its own build.
set -euo pipefail
folder=${1:?which folder? bash benchmarks/make_rivals.sh FOLDER [NAME ...]}
shift
[ $# -gt 0 ] || set -- rectools replay recbole
python=${PYTHON:-python3.11}

for name in "$@"; do
    case $name in
        rectools) packages=("rectools[torch]==0.19.0") ;;
        replay) packages=("replay-rec[torch]==0.22.0") ;;
        # recbole 1.2.1 needs pkg_resources (through ray) and numpy's names of before 2.0
        recbole) packages=("recbole==1.2.1" "setuptools<81" "numpy<2" "pandas<3" "scipy<1.15") ;;
        *) echo "unknown rival '$name'; known: rectools, replay, recbole" >&2 && exit 2 ;;
    esac
    if [ ! -e "$folder/$name/made" ]; then
        "$python" -m venv --clear "$folder/$name"
        "$folder/$name/bin/python" -m pip install -q torch==2.13.0
        "$folder/$name/bin/python" -m pip install -q torch==2.13.0 "${packages[@]}"
        touch "$folder/$name/made"
    fi
    echo "--python $name=$folder/$name/bin/python"
done
