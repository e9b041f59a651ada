#!/usr/bin/env bash
# Classical models tuned with equal budgets on their boards: 15 trials each on validation, then the board's three seeds.
# A study goes on where it was left, so that the file can be run again; `bash experiments/baselines.sh video` runs the lines
# of the boards whose names hold that word. Hours in all; slim and ease cost most.
set -euo pipefail
only=${1:-}

tune() { # BOARD MODELS [OVERRIDES ...]
    [[ $1 == *"$only"* ]] || return 0
    python -m recbench -m "board=$1" "model=$2" "${@:3}" sweep=bayes submit=true trainer.threads=1
}

tune lastfm-lightgcn item-knn,user-knn,ease,slim,bpr,popular,random
tune lastfm-lightgcn als 'model.dim=choice(32,64,128,256)'

tune video item-knn 'model.position_half_life=interval(0,20)'
tune video user-knn,ease,slim,bpr,markov,sequential-rules,last-item,popular,recent-popular,random
tune video als 'model.dim=choice(32,64,128,256)'

tune amazon-beauty-published item-knn 'model.position_half_life=interval(0,20)'
tune amazon-beauty-published user-knn,bpr,markov,sequential-rules,last-item,popular,random
tune amazon-beauty-published als 'model.dim=choice(64,128,256)'
tune amazon-beauty-published ease model.max_items=13000
tune amazon-beauty-published slim 'model.l1=interval(1,100)'

tune video-rating mean-rating,slope-one,item-knn-rating,biased-mf,svd++,linear-regression

# groceries have no text
tune video-cold random,popular,item-knn,ease,als,bpr,tfidf,attributes
tune amazon-beauty-cold random,popular,item-knn,tfidf,attributes
tune amazon-grocery-cold random,popular,item-knn,attributes
