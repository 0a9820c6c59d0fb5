"""The hosts that plans are checked on, as public descriptions of such machines have them."""

from __future__ import annotations

from pathlib import Path

from tests.hftctl.tuning.trees import Card, Machine, build

DEBIAN_GRUB = """set default="0"
menuentry 'Debian GNU/Linux' --class debian {
\tload_video
\tlinux\t/boot/vmlinuz-6.1.0-28-amd64 root=UUID=0b6f1a52 ro  quiet
\tinitrd\t/boot/initrd.img-6.1.0-28-amd64
}
submenu 'Advanced options for Debian GNU/Linux' {
\tmenuentry 'Debian GNU/Linux, with Linux 6.1.0-28-amd64 (recovery mode)' {
\t\tlinux\t/boot/vmlinuz-6.1.0-28-amd64 root=UUID=0b6f1a52 ro single
\t}
}
"""
UBUNTU_GRUB = """set vt_handoff=vt.handoff=7
menuentry 'Ubuntu' --class ubuntu {
\tgfxmode $linux_gfx_mode
\tlinux\t/vmlinuz-6.8.0-51-generic root=/dev/mapper/ubuntu--vg-ubuntu--lv ro  quiet splash $vt_handoff
\tinitrd\t/initrd.img-6.8.0-51-generic
}
"""
GRUB_DEFAULT = 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n'
RHEL_ENTRY = """title Red Hat Enterprise Linux (5.14.0-503.11.1.el9_5.x86_64) 9.5 (Plow)
version 5.14.0-503.11.1.el9_5.x86_64
linux /vmlinuz-5.14.0-503.11.1.el9_5.x86_64
initrd /initramfs-5.14.0-503.11.1.el9_5.x86_64.img $tuned_initrd
options root=/dev/mapper/rhel-root ro crashkernel=1G-2G:192M,2G-64G:256M,64G-:512M resume=/dev/mapper/rhel-swap $tuned_params
grub_users $grub_users
grub_class rhel
"""
RHEL_DEFAULT = """GRUB_TIMEOUT=5
GRUB_DEFAULT=saved
GRUB_CMDLINE_LINUX="crashkernel=1G-2G:192M,2G-64G:256M,64G-:512M"
GRUB_ENABLE_BLSCFG=true
"""
ARCH_ENTRY = """title   Arch Linux
linux   /vmlinuz-linux
initrd  /initramfs-linux.img
options root=PARTUUID=8f3a rw
"""
KUBELET = """apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous:
    enabled: false
cgroupDriver: systemd
clusterDNS:
- 10.96.0.10
cpuManagerReconcilePeriod: 0s
evictionHard:
  memory.available: 200Mi
kubeReserved:
  cpu: 500m
  memory: 1Gi
"""
IRQBALANCE = "# irqbalance is a daemon process\n#IRQBALANCE_ONESHOT=\n#IRQBALANCE_BANNED_CPULIST=\nIRQBALANCE_ARGS=\n"

OSTREE_ENTRY = """title Fedora CoreOS 41 (ostree:0)
version 1
linux /ostree/fedora-coreos-9f3a/vmlinuz-6.11.10-300.fc41.x86_64
initrd /ostree/fedora-coreos-9f3a/initramfs-6.11.10-300.fc41.x86_64.img
options rw ignition.platform.id=metal ostree=/ostree/boot.1/fedora-coreos/9f3a/0 root=UUID=5c1e
"""
UNIFIED = {  # a boot image with the kernel and its command line in one
    "boot/efi/EFI/Linux/arch-linux.efi": "MZ", "etc/kernel/cmdline": "root=PARTUUID=8f3a rw\n", "etc/default/irqbalance": IRQBALANCE,
    "etc/security/limits.conf": "# limits\n",
}  # fmt: skip

MACHINES = {
    "intel-one-socket": Machine(
        cards=(Card("eno1", "igb", "0000:02:00.0", 0, 2, default_route=True), Card("ens2f0", "ice", "0000:3b:00.0", 0, 8)),
        services=("irqbalance",),
        files={
            "boot/grub/grub.cfg": DEBIAN_GRUB, "etc/default/grub": GRUB_DEFAULT, "etc/default/irqbalance": IRQBALANCE,
            "etc/security/limits.conf": "# limits\n",
        },
    ),
    "amd-two-socket": Machine(
        vendor="amd", model="AMD EPYC 7313 16-Core Processor", packages=2, cores_per_package=16, memory_gib=128,
        cards=(
            Card("eno1", "ixgbe", "0000:01:00.0", 0, 4, default_route=True), Card("ens5f0np0", "mlx5_core", "0000:c1:00.0", 1, 8, group=0),
        ),
        frequency="acpi-cpufreq",
        files={"boot/grub/grub.cfg": DEBIAN_GRUB, "etc/default/grub": GRUB_DEFAULT},
    ),
    "ubuntu": Machine(
        model="13th Gen Intel(R) Core(TM) i9-13900T", cores_per_package=8, memory_gib=32, kernel="6.8.0-51-generic",
        command_line="BOOT_IMAGE=/vmlinuz-6.8.0-51-generic root=/dev/mapper/ubuntu--vg-ubuntu--lv ro quiet splash",
        cards=(Card("enp1s0", "igc", "0000:01:00.0", -1, 4, default_route=True),),
        services=("irqbalance", "power-profiles-daemon"),
        system='ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n',
        files={
            "boot/grub/grub.cfg": UBUNTU_GRUB, "etc/default/grub": GRUB_DEFAULT.replace('"quiet"', '"quiet splash"'),
            "etc/default/grub.d/init-select.cfg": "# set the default init\n", "etc/default/irqbalance": IRQBALANCE,
        },
    ),
    "rhel-bls": Machine(
        model="Intel(R) Xeon(R) Platinum 8362 CPU @ 2.80GHz", packages=2, cores_per_package=8, kernel="5.14.0-503.11.1.el9_5.x86_64",
        command_line="BOOT_IMAGE=(hd0,gpt2)/vmlinuz-5.14.0-503.11.1.el9_5.x86_64 root=/dev/mapper/rhel-root ro",
        cards=(Card("ens1f0", "i40e", "0000:18:00.0", 0, 4, default_route=True),),
        services=("tuned",),
        system='ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.5"\n',
        files={
            "boot/loader/entries/4c1d-5.14.0-503.11.1.el9_5.x86_64.conf": RHEL_ENTRY, "etc/default/grub": RHEL_DEFAULT,
            "boot/grub2/grub.cfg": "blscfg\n", "etc/sysconfig/irqbalance": IRQBALANCE,
        },
    ),
    "systemd-boot": Machine(
        vendor="amd", model="AMD Ryzen 9 7950X 16-Core Processor", cores_per_package=16, memory_gib=96, kernel="6.12.4-arch1-1",
        command_line="root=PARTUUID=8f3a rw", cards=(Card("enp5s0", "r8169", "0000:05:00.0", -1, 1, default_route=True, tables={}),),
        frequency="amd-pstate", system="ID=arch\n",
        files={
            "boot/loader/entries/arch.conf": ARCH_ENTRY, "boot/loader/loader.conf": "default arch\n",
            "etc/kernel/cmdline": "root=PARTUUID=8f3a rw\n",
        },
    ),
    "ostree": Machine(
        vendor="amd", model="AMD EPYC 7313P 16-Core Processor", cores_per_package=4, memory_gib=32, kernel="6.11.10-300.fc41.x86_64",
        command_line="rw ignition.platform.id=metal ostree=/ostree/boot.1/fedora-coreos/9f3a/0 root=UUID=5c1e",
        cards=(Card("enp1s0", "i40e", "0000:01:00.0", 0, 4, default_route=True),), frequency="amd-pstate",
        system='ID=fedora\nVARIANT_ID=coreos\nVERSION_ID="41"\n',
        files={"run/ostree-booted": "", "boot/loader/entries/ostree-1.conf": OSTREE_ENTRY, "boot/grub2/grub.cfg": "blscfg\n"},
    ),
    "unified-image": Machine(
        model="13th Gen Intel(R) Core(TM) i9-13900T", cores_per_package=4, memory_gib=32, kernel="6.12.4-arch1-1",
        command_line="root=PARTUUID=8f3a rw", cards=(Card("enp5s0", "igc", "0000:05:00.0", -1, 4, default_route=True),),
        system="ID=arch\n", files=UNIFIED,
    ),
    "kubernetes-node": Machine(
        cores_per_package=16, kernel="6.8.0-51-generic", model="Intel(R) Xeon(R) Gold 6326 CPU @ 2.90GHz",
        cards=(Card("ens3", "ice", "0000:31:00.0", 0, 4, default_route=True),),
        services=("kubelet", "containerd", "irqbalance"), system='ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n',
        files={
            "boot/grub/grub.cfg": UBUNTU_GRUB, "etc/default/grub": GRUB_DEFAULT, "etc/default/irqbalance": IRQBALANCE,
            "var/lib/kubelet/config.yaml": KUBELET, "var/lib/kubelet/pods/6d1f/x": "",
            "var/lib/kubelet/cpu_manager_state": '{"policyName":"none","defaultCpuSet":"","checksum":1353318690}',
        },
    ),
    "vm": Machine(
        model="Intel Xeon Processor (Icelake)", cores_per_package=4, threads=1, memory_gib=16, kernel="6.1.0-28-cloud-amd64",
        command_line="BOOT_IMAGE=/boot/vmlinuz-6.1.0-28-cloud-amd64 root=PARTUUID=6a3 ro console=ttyS0", hypervisor="QEMU",
        frequency="", cards=(Card("ens3", "virtio_net", "", -1, 1, default_route=True, tables={"offloads": {"gro": 1, "lro": 0}}),),
        files={"boot/grub/grub.cfg": DEBIAN_GRUB, "etc/default/grub": GRUB_DEFAULT},
    ),
}  # fmt: skip
# Every kind of place in the smallest tree: for tests that go through it thousands of times.
SMALL = Machine(
    cores_per_package=2,
    memory_gib=16,
    cards=(
        Card("eno1", "igb", "0000:02:00.0", 0, 1, default_route=True),
        Card("ens2f0", "ice", "0000:3b:00.0", 0, 2, group=7),
    ),
    files={**MACHINES["intel-one-socket"].files, "var/lib/kubelet/config.yaml": KUBELET},
)


def machine(folder: Path, name: str) -> Path:
    return build(folder / name, MACHINES[name])
