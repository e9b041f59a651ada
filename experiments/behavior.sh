#!/usr/bin/env bash
# Models of behaviours tuned with equal budgets on their boards: 15 trials each on validation, then the board's three seeds,
# probabilities bent by the isotonic step function that validation finds. A study goes on where it was left;
# `bash experiments/behavior.sh video` runs the lines of the boards whose names hold that word. Hours in all.
set -euo pipefail
only=${1:-}

tune() { # BOARD MODELS [OVERRIDES ...]
    [[ $1 == *"$only"* ]] || return 0
    python -m recbench -m "board=$1" "model=$2" "${@:3}" calibration=isotonic sweep=bayes submit=true trainer.threads=1
}

tune video-like prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,din,bst
tune ecommerce-sim-purchase prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,din,bst,mmoe,ple,esmm
tune social-sim-engagement prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,din,bst,mmoe,ple
tune social-engagement prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,din,bst,mmoe,ple
# histories are sets there: no sequence model applies
tune retailrocket-purchase prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,mmoe,ple,esmm
tune ecommerce-purchase prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,din,bst
