#!/usr/bin/env bash
# Models of behaviours tuned with equal budgets on their boards: the trials of the board on validation, then its three seeds,
# probabilities bent by the isotonic step function that validation finds. A study goes on where it was left;
# `bash experiments/behavior.sh video` runs the lines of the boards whose names hold that word. Hours in all.
set -euo pipefail
only=${1:-}

tune() { # BOARD MODELS [OVERRIDES ...]
    [[ $1 == *"$only"* ]] || return 0
    python -m recbench -m "board=$1" "model=$2" "${@:3}" calibration=isotonic sweep=bayes submit=true trainer.threads=1
}

# Of the whole range of learning rates the ends find nothing: where a trial is dear, a narrower one is searched.
tune video-like prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,din,bst
tune video-like transformer model.dim=64 model.blocks=1 'model.learning_rate=tag(log,interval(0.0003,0.01))' model.epochs=15
tune ecommerce-sim-purchase prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,din,bst,mmoe,ple,esmm
tune ecommerce-sim-purchase mmoe,ple,esmm model.apart=true
tune ecommerce-sim-purchase transformer model.dim=64 model.blocks=1 'model.learning_rate=tag(log,interval(0.0003,0.01))' model.epochs=15
tune social-sim-engagement prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,din,bst,mmoe,ple
tune social-sim-engagement mmoe,ple model.apart=true
tune social-sim-engagement transformer model.dim=64 model.blocks=1 'model.learning_rate=tag(log,interval(0.0003,0.01))' model.epochs=15
tune social-engagement prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,din,bst,mmoe,ple
tune social-engagement mmoe,ple model.apart=true
tune social-engagement transformer model.dim=64 model.blocks=1 'model.learning_rate=tag(log,interval(0.0003,0.01))' model.epochs=15
# what fields and histories come to alone
tune video-like logistic-sgd model.statistics=false
tune ecommerce-sim-purchase logistic-sgd,fm,bst model.statistics=false
tune ecommerce-sim-purchase transformer model.dim=64 model.blocks=1 'model.learning_rate=tag(log,interval(0.0003,0.01))' model.epochs=15 model.statistics=false
# histories are sets there: what weighs single events by their age (din, bst) or reads their order (transformer) is left out
tune retailrocket-purchase prior,linear-regression,logistic-regression,logistic-sgd,gbdt,fm,deepfm,dcn-v2,mmoe,ple,esmm
tune retailrocket-purchase mmoe,ple,esmm model.apart=true
# 400,000 questions to learn from: one pass, after which networks of vectors grew worse on validation
tune ecommerce-purchase prior,linear-regression,logistic-regression,gbdt
tune ecommerce-purchase logistic-sgd,fm,deepfm,dcn-v2,din,bst model.epochs=1 model.batch_size=1024 'model.learning_rate=tag(log,interval(0.0003,0.03))'
tune ecommerce-purchase logistic-sgd,fm model.statistics=false model.epochs=1 model.batch_size=1024 'model.learning_rate=tag(log,interval(0.0003,0.03))'
tune ecommerce-purchase transformer model.dim=64 model.blocks=1 'model.learning_rate=tag(log,interval(0.0003,0.01))' model.epochs=2
