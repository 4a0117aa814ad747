"""Tables with wrong cells, and a ledger of them: made by chance, by a program that knows no detector.

A clean table is made first; then an injector draws cells and spoils each in one way. What it drew is what must be found.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from models.domain.identifiers import resident_id_check

Row = list[str]


@dataclass
class Wrong:
    """A table.

    Attributes:
        names: Its header.
        clean: Rows as they should be.
        dirty: Rows as they are.
        ledger: (row, column) → kind, for every cell that was spoilt; rows from 1.
    """

    names: list[str]
    clean: list[Row]
    dirty: list[Row] = field(default_factory=list)
    ledger: dict[tuple[int, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dirty = [list(row) for row in self.clean]

    def spoil(self, random: Random, kind: str, columns: list[str], share: float, way: "Callable[[Random, str, list[str]], str]") -> "Wrong":
        """Spoils a share of the cells of the columns that hold something and were not spoilt before.

        Args:
            random: Chance.
            kind: Name in the ledger.
            columns: Columns to draw from.
            share: Of each column's cells.
            way: (chance, value, all values of the column) → wrong value.
        """
        for name in columns:
            at = self.names.index(name)
            values = [row[at] for row in self.clean]
            for index in random.sample(range(len(self.clean)), round(share * len(self.clean))):
                value = self.clean[index][at]
                if not value or (index + 1, name) in self.ledger:
                    continue
                wrong = way(random, value, values)
                if wrong != value:
                    self.dirty[index][at] = wrong
                    self.ledger[index + 1, name] = kind
        return self

    def exchange(self, random: Random, one: str, other: str, share: float) -> "Wrong":
        """Exchanges the cells of two columns in a share of the rows."""
        a, b = self.names.index(one), self.names.index(other)
        for index in random.sample(range(len(self.clean)), round(share * len(self.clean))):
            row = self.dirty[index]
            if {(index + 1, one), (index + 1, other)} & set(self.ledger) or row[a] == row[b]:
                continue
            row[a], row[b] = row[b], row[a]
            self.ledger[index + 1, one] = self.ledger[index + 1, other] = "exchanged"
        return self


def typo(random: Random, value: str, _: list[str]) -> str:
    """One character replaced, dropped, doubled or exchanged with the next."""
    at = random.randrange(len(value))
    way = random.randrange(4)
    if way == 0:
        strange = "x" if value.isascii() else random.choice("的一是在不了有和人这中大为上个国")
        return value[:at] + strange + value[at + 1 :]
    if way == 1:
        return value[:at] + value[at + 1 :]
    if way == 2:
        return value[:at] + value[at] + value[at:]
    return value[:at] + value[at + 1 : at + 2] + value[at] + value[at + 2 :]


def gone(random: Random, value: str, _: list[str]) -> str:
    """Empty, or a word for it."""
    return random.choice(["", "", "", "N/A", "null", "未知"])


def other(random: Random, value: str, values: list[str]) -> str:
    """Another value of the column."""
    return random.choice([v for v in values if v and v != value])


def far(random: Random, value: str, _: list[str]) -> str:
    """A number a thousand times too great, or negative."""
    number = float(value)
    return f"{number * 1000:g}" if random.random() < 0.6 else f"-{value.lstrip('-')}"


def other_day_format(random: Random, value: str, _: list[str]) -> str:
    """A day written in another way, or one that no calendar has."""
    year, month, day = value.split("-")
    return random.choice([f"{year}/{int(month)}/{int(day)}", f"{day}.{month}.{year}", f"{year}{month}{day}", f"{year}年{int(month)}月{int(day)}日", f"{year}-13-{day}"])


def with_unit(random: Random, value: str, _: list[str]) -> str:
    """A number with its unit."""
    return random.choice([f"{value}元", f"{value} 元", f"¥{value}"])


def wrong_digit(random: Random, value: str, _: list[str]) -> str:
    """An identifier with one digit changed."""
    at = random.randrange(6, len(value) - 1)
    return value[:at] + str((int(value[at]) + random.randint(1, 9)) % 10) + value[at + 1 :]


_DISTRICTS = ["岳麓区", "芙蓉区", "天心区", "开福区", "雨花区", "望城区"]
_MATTERS = ["企业设立登记", "食品经营许可", "建筑工程施工许可", "不动产首次登记", "医疗机构执业登记", "道路运输经营许可", "社会保险登记",
            "户口迁移审批", "律师执业核准", "民办学校设立审批", "取水许可审批", "出版物零售许可", "护士执业注册", "渔业捕捞许可", "公章刻制备案",
            "药品经营许可", "机动车驾驶证换发", "残疾人证办理", "房屋租赁备案", "城镇污水排入许可", "娱乐场所设立", "烟草零售许可", "公共卫生许可", "养老机构备案"]  # fmt: skip
_DEPARTMENTS = ["市场监督管理局", "住房和城乡建设局", "自然资源和规划局", "卫生健康委员会", "交通运输局", "人力资源和社会保障局", "公安局", "司法局", "教育局", "水利局"]
_FAMILY, _GIVEN = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张", "伟芳娜敏静丽强磊军洋勇艳杰涛明超秀霞平刚桂英华玉兰"


def matters(seed: int, rows: int = 2000) -> Wrong:
    """Cases of a city's service desk, clean."""
    random = Random(seed)  # noqa: S311 - a sample
    names = [random.choice("麓湘星月银金梅桃松竹") + random.choice("山湖岭坡塘溪桥亭园洲") + random.choice(["街道", "镇"]) for _ in range(30)]
    streets = [(name, random.choice(_DISTRICTS)) for name in dict.fromkeys(names)]
    known = [(f"43{random.randrange(10**8):08d}{i:03d}", name, random.randrange(len(_DEPARTMENTS)), random.choice([3, 5, 7, 10, 15, 20]))
             for i, name in enumerate(_MATTERS)]  # fmt: skip
    table = []
    for number in range(rows):
        code, matter, department, limit = random.choice(known)
        street, district = random.choice(streets)
        birth = date(1955, 1, 1) + timedelta(days=random.randrange(18_000))
        body = f"430{random.randrange(102, 182)}{birth:%Y%m%d}{random.randrange(1000):03d}"
        received = date(2025, 1, 1) + timedelta(days=random.randrange(365))
        done = random.random() < 0.8
        table.append([
            f"BJ2025{number + 1:06d}", code, matter, f"0{department + 11}", _DEPARTMENTS[department], street, district,
            random.choice(_FAMILY) + "".join(random.choice(_GIVEN) for _ in range(random.choice([1, 2]))), body + resident_id_check(body),
            f"1{random.choice('3578')}{random.randrange(10**9):09d}", random.choices(["网上申请", "窗口受理", "自助终端"], [6, 3, 1])[0],
            f"{received}", str(limit), f"{random.lognormvariate(5, 0.6):.2f}", "已办结" if done else "办理中",
            f"{received + timedelta(days=random.randrange(limit + 2))}" if done else "",
        ])  # fmt: skip
    return Wrong(["办件编号", "事项编码", "事项名称", "部门编码", "部门名称", "街道", "区县", "申请人", "证件号码", "手机", "渠道", "收件日期", "承诺天数",
                  "费用", "状态", "办结日期"], table)  # fmt: skip


def spoilt_matters(seed: int, rows: int = 2000) -> Wrong:
    """As :func:`matters`, with about four wrong cells in a hundred."""
    random = Random(seed + 1)  # noqa: S311 - a sample
    table = matters(seed, rows)
    table.spoil(random, "typo", ["事项名称", "部门名称", "街道", "区县", "渠道"], 0.015, typo)
    table.spoil(random, "missing", ["事项名称", "部门编码", "区县", "手机", "收件日期", "费用", "申请人"], 0.015, gone)
    table.spoil(random, "format", ["收件日期", "办结日期"], 0.02, other_day_format)
    table.spoil(random, "unit", ["费用"], 0.02, with_unit)
    table.spoil(random, "dependency", ["部门名称", "区县", "部门编码", "承诺天数"], 0.015, other)
    table.spoil(random, "outlier", ["费用"], 0.01, far)
    table.spoil(random, "identifier", ["证件号码"], 0.02, wrong_digit)
    table.exchange(random, "渠道", "状态", 0.01)
    return table.exchange(random, "手机", "收件日期", 0.01)


_STATES = ["al", "ak", "az", "ca", "ga", "tx", "ny", "wa"]
_WORDS = ["memorial", "regional", "general", "baptist", "community", "saint mary", "university", "valley", "county", "riverside", "grandview", "lakeshore"]


def hospitals(seed: int, rows: int = 1000) -> Wrong:
    """Measures of hospitals: a row is a provider and a measure, everything else follows from the two."""
    random = Random(seed)  # noqa: S311 - a sample
    cities = [(f"{a}{b}", random.choice(_STATES)) for a in ("birming", "hart", "west", "oak", "bright", "fair") for b in ("ham", "ford", "field", "ton", "view")]
    providers = []
    for number in range(max(rows // 20, 5)):
        city, state = random.choice(cities)
        word = random.choice(_WORDS)
        providers.append([str(10001 + number * 7), f"{city} {word} hospital", f"{random.randrange(100, 9999)} {random.choice(_WORDS)} {random.choice(['street', 'avenue', 'drive'])}",
                          city, state, f"{35000 + cities.index((city, state)) * 13}", f"{city[:4]}son", f"205{random.randrange(10**7):07d}",
                          random.choice(["acute care hospitals", "critical access hospitals"]), random.choice(["government - federal", "proprietary", "voluntary non-profit"]), random.choice(["yes", "no"])])  # fmt: skip
    conditions = ["heart attack", "heart failure", "pneumonia", "surgical infection prevention"]
    measures = [[conditions[i // 6], f"{conditions[i // 6][:2]}-{i}", f"patients given treatment {'abcdefghijklmnopqrstuvwx'[i]} for {conditions[i // 6]}"] for i in range(24)]
    average = {(state, measure[1]): f"{state}_{measure[1]}" for state in _STATES for measure in measures}
    pairs = random.sample([(p, m) for p in providers for m in measures], min(rows, len(providers) * 24))
    table = [[*p, *m, f"{random.randrange(30, 101)}%", f"{random.randrange(10, 400)} patients", average[p[4], m[1]]] for p, m in pairs]
    return Wrong(["provider", "name", "address", "city", "state", "zip", "county", "phone", "type", "owner", "emergency", "condition", "measure",
                  "measure_name", "score", "sample", "average"], table)  # fmt: skip


def _x(random: Random, value: str, _: list[str]) -> str:
    at = random.randrange(len(value))
    return value[:at] + "x" + value[at + 1 :]


def spoilt_hospitals(seed: int, rows: int = 1000) -> Wrong:
    """As :func:`hospitals`: in every column but scores three cells in a hundred have an x for a character."""
    table = hospitals(seed, rows)
    random = Random(seed + 1)  # noqa: S311 - a sample
    return table.spoil(random, "typo", [n for n in table.names if n not in ("score", "sample")], 0.03, _x)


def orders(seed: int, rows: int = 3000) -> Wrong:
    """Lines of a shop: skewed amounts, long tails of customers, remarks that are mostly empty, prose; nothing wrong."""
    random = Random(seed)  # noqa: S311 - a sample
    customers = [(f"C{i:04d}", random.choice(_FAMILY) + random.choice(_GIVEN), random.choice(_DISTRICTS)) for i in range(400)]
    products = [(f"P-{random.randrange(10**5)}", f"{random.choice(_WORDS)} {random.choice(['lamp', 'chair', 'table', 'mug', 'desk'])}", random.lognormvariate(3, 1)) for _ in range(150)]
    table = []
    for number in range(rows):
        customer = customers[min(int(random.paretovariate(1.1)) - 1, 399)]
        product = random.choice(products)
        amount = min(int(random.paretovariate(1.3)), 500)
        table.append([str(number + 1), *customer, product[0], product[1], f"{product[2]:.2f}", str(amount), f"{product[2] * amount:.2f}",
                      f"2025-{random.randrange(1, 13):02d}-{random.randrange(1, 29):02d} {random.randrange(8, 20):02d}:{random.randrange(60):02d}",
                      random.choices(["cash", "card", "transfer", "voucher"], [50, 40, 9, 1])[0],
                      " ".join(random.choices(_WORDS, k=random.randrange(2, 9))) if random.random() < 0.15 else "",
                      f"{random.choice(_WORDS).replace(' ', '.')}{random.choice(['', '', '.', '_'])}{random.randrange(10**random.randrange(1, 4))}@{random.choice(['mail', 'post'])}.example"])  # fmt: skip
    return Wrong(["line", "customer", "name", "district", "product", "title", "price", "amount", "total", "sold_at", "payment", "remark", "mail"], table)


def measurements(seed: int, rows: int = 3000) -> Wrong:
    """Readings of stations: normal, skewed and constant numbers; nothing wrong."""
    random = Random(seed)  # noqa: S311 - a sample
    stations = [(f"ST{i:02d}", f"{random.uniform(20, 40):.4f}", f"{random.uniform(100, 120):.4f}") for i in range(25)]
    table = []
    for number in range(rows):
        station = stations[number % 25]
        table.append([*station, f"{date(2025, 1, 1) + timedelta(days=number // 25)}", f"{random.gauss(15, 8):.1f}", f"{max(random.gammavariate(0.4, 6) - 1, 0):.1f}",
                      str(random.choice([0, 0, 0, 0, 1])), f"{random.expovariate(0.2):.2f}", "ok"])  # fmt: skip
    return Wrong(["station", "lat", "lon", "day", "temperature", "rain", "alarm", "wind", "state"], table)


def claimed(seed: int) -> Wrong:
    """What 24 sources say of 80 objects: good ones that make slips, and two crowds that copy a bad one."""
    random = Random(seed)  # noqa: S311 - a sample
    names = ["source", "object", "opens", "closes", "seats", "price"]
    truth = {f"obj-{o:03d}": [f"{random.randrange(6, 12)}:{random.randrange(60):02d}", f"{random.randrange(15, 23)}:{random.randrange(60):02d}",
                              str(random.randrange(50, 900)), f"{random.uniform(5, 90):.2f}"] for o in range(80)}  # fmt: skip
    domain = [[v[k] for v in truth.values()] for k in range(4)]
    quality = [[random.uniform(0.9, 0.99)] * 4 for _ in range(10)] + [[random.uniform(0.9, 0.99), 0.25, 0.6, 0.5]] + [[0.9, 0.3, 0.7, 0.3]] + [[0.6, 0.6, 0.6, 0.6]] * 4
    leaders = [{o: [v if random.random() < quality[10 + k][i] else random.choice(domain[i]) for i, v in enumerate(vs)] for o, vs in truth.items()} for k in range(2)]
    clean, dirty = [], []
    for s in range(24):
        for o, values in truth.items():
            if random.random() < 0.15:
                continue
            if s < 10:
                said = [v if random.random() < quality[s][i] else random.choice(domain[i]) for i, v in enumerate(values)]
            elif s < 20:
                said = list(leaders[s % 2][o])
            else:
                said = [v if random.random() < 0.6 else random.choice(domain[i]) for i, v in enumerate(values)]
            clean.append([f"site{s:02d}", o, *values])
            dirty.append([f"site{s:02d}", o, *("" if random.random() < 0.08 else v for v in said)])
    table = Wrong(names, clean)
    table.dirty = dirty
    table.ledger = {(i + 1, names[j]): "claim" for i, row in enumerate(dirty) for j, v in enumerate(row) if v != clean[i][j]}
    return table
