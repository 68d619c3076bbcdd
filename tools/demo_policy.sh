#!/usr/bin/env bash
# Goes on training the demonstration policy on all ten scenes of libero_object:
#
#   tools/demo_policy.sh [FOLDER] [STEPS]      default: out/demo_policy 4000
#
# New demonstrations, training from models/demo/policy, a round in which the policy drives and the
# expert corrects it, and training on. May be interrupted at any moment: the same command goes on
# with what is there. FOLDER/run/policy is the policy.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-out/demo_policy}
steps=${2:-4000}
vla_sae=.venv/bin/vla-sae
export OMP_NUM_THREADS=1

data() { "$vla_sae" demos --out "$folder/$1" "${@:2}"; }

train() {
  local own=() name
  for name in demos driven; do
    if [ -d "$folder/$name" ]; then own+=(--demos "$folder/$name"); fi
  done
  "$vla_sae" train-policy "${own[@]}" --held-out "$folder/unseen" --out "$folder/run" \
    --start-from models/demo/policy --batch-size 12 --frames 1 --draws 2 --learning-rate 4e-4 \
    --checkpoint-every 200 --steps "$1"
}

# Seeds that the shipped policy has not seen; held out are those from 1,000,000 on.
data unseen --stills --held-out --first-seed 1000000 --rounds 1
data demos --first-seed 320000 --rounds 6 --move 0.05 --shuffle 0.6
train $((steps / 2))
data driven --first-seed 520000 --rounds 1 --move 0.05 --shuffle 0.6 --policy "$folder/run/policy"
train "$steps"
