#!/usr/bin/env bash
# Models of text tuned with equal budgets beside the same without text: the trials of the board on validation, then its three
# seeds. A study goes on where it was left; `bash experiments/language.sh watson` runs the lines of the boards whose names hold
# that word. What text adds run by run, paired: benchmarks/comparisons.py, section "With and without text"; prompts beside
# classical models at as many answers: benchmarks/prompts.py.
set -euo pipefail
only=${1:-}

tune() { # BOARD MODELS [OVERRIDES ...]
    [[ $1 == *"$only"* ]] || return 0
    python -m recbench -m "board=$1" "model=$2" "${@:3}" sweep=bayes submit=true trainer.threads=1
}

once() { # BOARD MODEL [OVERRIDES ...]
    [[ $1 == *"$only"* ]] || return 0
    python -m recbench "board=$1" "model=$2" "${@:3}" trainer.threads=1
}

tune ibm-watson-community text-embedding,alpharec,llm-mf,lightgcn,popular,random
tune ibm-watson-community llm-mf model.use_text=false
tune steam text-embedding,alpharec,lightgcn
tune video text-embedding,kg-text,alpharec,llm-mf
tune amazon-beauty-cold text-embedding
tune microlens-50k text-embedding
once amazon-beauty-published semantic-id seed=1 submit=true
tune social-sim-engagement bert,tfidf-logistic
tune ibm-watson-read tfidf-logistic,logistic-regression,prior
tune ibm-watson-read bert model.layers=0

# Options, each shown once. Weights from another catalogue, which text alone carries over: its vectors are spread alike in both.
once amazon-sports-published transformer-text model.join=text model.spread=centre model.dim=64 seed=1 out=runs/pretrained
once amazon-beauty-published transformer-text model.join=text model.spread=centre model.dim=64 seed=1
[[ -d runs/pretrained ]] && once amazon-beauty-published transformer-text model.join=text model.spread=centre model.dim=64 \
    "model.init_from=$(echo runs/pretrained/*)" seed=1
# a second loss by which hidden events are guessed from both sides, and several heads at once
once amazon-beauty-published transformer-text model.masked_weight=0.2 seed=1
once social-sim-engagement bert seed=1
