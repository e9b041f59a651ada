#!/usr/bin/env bash
# One virtual environment for each rival of benchmarks/sequential.py, ratings.py, classic.py and behavior.py, its versions
# pinned; about 1.5 GB each, 0.3 GB for surprise and implicit.
#
#   bash benchmarks/make_rivals.sh FOLDER [NAME ...]      NAME: rectools, replay, recbole, surprise, implicit, lenskit,
#                                                         cornac, fuxictr, rechub; all of them where none is given
#
# Prints the options that the benchmarks take. torch comes first, so that no rival chooses its own build.
set -euo pipefail
folder=${1:?which folder? bash benchmarks/make_rivals.sh FOLDER [NAME ...]}
shift
[ $# -gt 0 ] || set -- rectools replay recbole surprise implicit lenskit cornac fuxictr rechub
python=${PYTHON:-python3.11}

for name in "$@"; do
    case $name in
        rectools) packages=("rectools[torch]==0.19.0") ;;
        replay) packages=("replay-rec[torch]==0.22.0") ;;
        # recbole 1.2.1 needs pkg_resources (through ray) and numpy's names of before 2.0
        recbole) packages=("recbole==1.2.1" "setuptools<81" "numpy<2" "pandas<3" "scipy<1.15") ;;
        surprise) packages=("scikit-surprise==1.1.5") ;;
        implicit) packages=("implicit==0.7.3") ;;
        lenskit) packages=("lenskit==2025.8.1") ;;  # the newest for Python 3.11
        cornac) packages=("cornac==3.0.1" "pandas") ;;  # its torch is not declared
        fuxictr) packages=("fuxictr==2.3.10" "numpy==2.4.6" "pandas==3.1.1") ;;
        rechub) packages=("torch-rechub==0.9.0" "numpy==2.4.6" "pandas==3.1.1") ;;
        *)
            echo "unknown rival '$name'; known: rectools, replay, recbole, surprise, implicit, lenskit, cornac, fuxictr, rechub" >&2
            exit 2 ;;
    esac
    if [ ! -e "$folder/$name/made" ]; then
        "$python" -m venv --clear "$folder/$name"
        [ "$name" = surprise ] || [ "$name" = implicit ] || packages=(torch==2.13.0 "${packages[@]}")
        "$folder/$name/bin/python" -m pip install -q "${packages[0]}"
        "$folder/$name/bin/python" -m pip install -q "${packages[@]}"
        touch "$folder/$name/made"
    fi
    echo "--python $name=$folder/$name/bin/python"
done
