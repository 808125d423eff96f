// Package node makes, enters and removes the namespaces that a cluster's node
// lives in.
//
// One process, the node's init, is the first of a pid namespace and holds a
// mount, network, UTS, IPC and control group namespace with it. Killing it
// kills all that ever ran inside, and the kernel then takes the mounts and
// interfaces away; what is left to remove are control groups and the state folder.
//
// Start runs the program itself three times over: Launch joins the control
// groups and clones, Init is the clone. Each is a hidden command.
package node

// Names of the hidden commands, and how the init is told whose it is.
const (
	LaunchCommand = "node-launch"
	InitCommand   = "node-init"
	ProbeCommand  = "node-probe"
	stateFlag     = "--state="
)

// Inside is set in the environment of everything that Exec runs.
const Inside = "GPTOSS_CLUSTER_INSIDE"
