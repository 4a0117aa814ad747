#!/bin/sh
# Debian packages that tests need beside the Python ones: chromium for tests/e2e, a Chinese font for its pictures,
# PostgreSQL's programs for tests of databases (they start a server of their own; no cluster of the package's is made).
# Installs what is missing when it may (root and apt-get); otherwise says what is missing and goes on: those tests are
# then skipped with their reason.
set -eu

missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
{ fc-list 2>/dev/null; find /usr/share/fonts /usr/local/share/fonts -type f 2>/dev/null; } | grep -qi 'cjk' || missing="$missing fonts-noto-cjk"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "缺少测试所需的软件包：$missing（可用 apt-get install$missing 安装；缺少时相关测试会跳过）" >&2
    exit 0
fi

echo "安装测试所需的软件包：$missing…"
export DEBIAN_FRONTEND=noninteractive
lock="-o DPkg::Lock::Timeout=300"
without_cluster() {
    case "$missing" in *postgresql*) ;; *) return 0 ;; esac
    # shellcheck disable=SC2086  # words on purpose
    apt-get $lock install -y -qq --no-install-recommends postgresql-common &&
        sed -i 's/^#\? *create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
}
# shellcheck disable=SC2086  # words on purpose
if ! { apt-get $lock update -qq && without_cluster && apt-get $lock install -y -qq --no-install-recommends $missing; } >/dev/null; then
    echo "未能安装：$missing；相关测试会跳过。" >&2
fi
