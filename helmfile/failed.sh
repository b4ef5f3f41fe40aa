# `helmfile.yaml` runs this at the end of each command. `helmfile apply` succeeds if it finds no difference, even if the last revision
# failed after everything was written, as when pods never became ready. This script makes that an error.
set -eu
command=$1 namespace=$2
[ "$command" = apply ] || exit 0

# If the status cannot be read, no failure is known.
status=$("${HELMFILE_HELM_BINARY:-helm}" status corveil --namespace "$namespace" 2>/dev/null | sed -n 's/^STATUS: //p')
case $status in
failed) hint="find the cause with \`kubectl --namespace $namespace get pods\`, then run \`helmfile sync\`, which always upgrades" ;;
pending-*) hint="wait for the upgrade that is under way; \`helm rollback corveil --namespace $namespace\` ends one that was killed" ;;
*) exit 0 ;;
esac
echo "the last revision of \`corveil\` is \`$status\`, and nothing differs from it"
echo "hint: $hint"
exit 1
