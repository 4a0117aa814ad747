"""``yiwang login-provider``: a local OpenID provider for development and tests, and who can log in there."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from serving.cli.audit import settings_at

app = typer.Typer(no_args_is_help=True, help="本地统一身份认证（只供开发和测试）：启动、维护账号。")
Home = Annotated[Path | None, typer.Option("--home", help="数据目录，默认取 YIWANG_HOME 或 ./data")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="监听地址，只能是本机")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="端口")] = 8001,
    platform: Annotated[str, typer.Option(help="平台的访问地址")] = "http://127.0.0.1:8000",
    home: Home = None,
) -> None:
    """启动；平台以 YIWANG_OIDC_ISSUER 指向它。"""
    import uvicorn

    from serving.app import listen
    from serving.auth.provider.service import Provider, client_of, provider_app, users_of

    with settings_at(home) as settings:
        issuer = f"http://{host}:{port}"
        made = provider_app(Provider(issuer, client_of(settings, platform), users_of(settings), settings, lambda: datetime.now(UTC)), host)
        with listen(host, port) as listening:
            Console(stderr=True, highlight=False).print(f"本地统一身份认证已启动：{issuer}（平台设置 YIWANG_OIDC_ISSUER={issuer}；按 Ctrl+C 结束）", soft_wrap=True)
            uvicorn.Server(uvicorn.Config(made, access_log=False, log_config=None, server_header=False, proxy_headers=False)).run(sockets=[listening])


@app.command()
def user(
    account: Annotated[str, typer.Argument(help="账号")],
    name: Annotated[str | None, typer.Option(help="姓名")] = None,
    otp: Annotated[bool, typer.Option("--otp", help="启用动态口令（管理员必须）；显示一次密钥")] = False,
    claims: Annotated[str | None, typer.Option(help='身份令牌中的其他内容，JSON，例如 {"id_number": "…"}')] = None,
    password: Annotated[str, typer.Option(prompt="口令", hide_input=True, confirmation_prompt="再输一次", envvar="YIWANG_LOGIN_PASSWORD", help="不写则提示输入")] = "",
    home: Home = None,
) -> None:
    """新增账号，或更换口令。口令按 GB/T 22239-2019 第三级的要求检查。"""
    from models.domain.errors import YiwangError
    from serving.auth.provider import totp
    from serving.auth.provider.service import users_of
    from serving.auth.provider.users import rules_of

    with settings_at(home) as settings:
        try:
            more = json.loads(claims) if claims else None
            if more is not None and not isinstance(more, dict):
                raise ValueError
        except ValueError:
            raise YiwangError("YW-SERVE-005", name="--claims", detail="应为 JSON 对象") from None
        secret = totp.new_secret() if otp else None
        made = users_of(settings).set(account, password, rules_of(settings), datetime.now(UTC), name=name, otp=secret, claims=more)
    out = Console(highlight=False)
    out.print(f"账号 {made.account}（{made.name}）已保存。", soft_wrap=True, markup=False)
    if secret:
        out.print(f"动态口令密钥：{totp.address(secret, account)}", soft_wrap=True, markup=False)
