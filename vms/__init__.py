"""Machines: image build, libvirt domains, pools of snapshots. Nothing here yet: upgrades on machines come later."""
