{#- What is wrong with a value of a person before it is masked, as a word that reveals nothing of it; null for nothing. -#}

{# Chinese text in UTF-8 that was read as GBK: the six bytes of two characters become three; a character of the first class then stands
   before one of the second, which names do not. tests/unit/quality/test_flaws.py derives the classes from Python's codec. #}
{% macro garbled_pair() -%}
[妗妞妤妫妯妲妾姊姒姗姘姝姣姹娅娆娈娉娌娑娓娣娲娴娼婀婊婕婢婧婵宀宄宓宕宥宸寤寮寰搴杈杌杓杞杩棣棰椁椋椐椤椴椹楂楗楝楠楣楦楫楱楸楹榀榄榇-榉榘榛榧榫榭榻槌槎洄洇洌洎洙洚洧洫洮洳洵洹浃浈浍浏浒浔浜浞浠浣浯浼涑涓涔涞涠淇渚澧澶澹濂濉濞濠濡濮濯瀚瀛瀣瀵瀹灏灞琚琛瑁瑕瑗瑙瑜瑭瑷瑾璀璁璇璋璎璐璜璞璧-璩璺瓒甯纭纰纾绀-绂绉绋绌绐绔绗绛绠绡绨绫绮绯绱绲绶绺绻绾缁-缃缇缈缍褰蹇鋩-錉鍊-鍩鍫鎬-鏉鏋-鏍鐎-鐮鑰-钄钑钖钘铇铏铓铔铚铦铻锜锠閫-闋韪-韬骞][¤т-ч′″℃╀-╅や-らヤ-ラㄤ-ㄩ㈠-㈤介伴佃佷-佺佽侀借備-傞充典兼冧-冪冭冮冲剁剧勪-勯卞叉变句告呬-呰呴哄哥嗕嗗-嗛囦-囪囬圭块垫垮堕堜堝堟堢堣堥変-夌夎夐夸奸婁-婅婇婚嬩-嬮存宠寸屼-屾岀岃岄峰崇嶄-嶉庝庡-庤庨归忎忓-忕忚忛惧惰愪愬-愰戒戜-戞戠戣戦扮抽拌挎捐掍掑掓-掕掗插搁撮撲-撴撶撹撻斾-旀旂旇旈昏曚曞-曢朵村板查栦-栨栫-栭椾楀楁楃-楅樹-樼樿橀欎-欓歌氫-氭氱氳氶洪涗-涚涜涢滀滃-滆滈濅-濈濊濋炬炰炲炴-炶為烘烽煎熶-熸熺-熼版犱-犳犵犺犻瑰电甸界疯硅磋稿绘翠肩胯舵艰芥茬茶荤藉虫虹蜂规讳诲跨跺蹭轰辨辩辫逛遍锋镐间靛颁风鸿鹃︽-﹂＄ｄ-ｉ￠]
{%- endmacro %}

{# A name 申请者名称: spaces, garbled, placeholder, characters (digits or Latin letters beside Chinese) or short. Names of
   enterprises (990) may hold any characters. #}
{% macro name_flaw(column, id_type) -%}
    case
        when {{ column }} is null then null
        when regexp_matches({{ column }}, '^[\s\x{3000}\x{00A0}]|[\s\x{3000}\x{00A0}]$|\p{Han}[\s\x{3000}\x{00A0}]+\p{Han}') then 'spaces'
        when regexp_matches({{ column }}, '[\x{FFFD}\x{E000}-\x{F8FF}\x{0080}-\x{009F}]|[\x{00C0}-\x{00FF}]{2}|锟斤拷|烫烫烫|\?\?|{{ garbled_pair() }}')
            then 'garbled'
        when regexp_full_match({{ column }}, '(?i)(\p{Han}{0,3}(测试|test|demo)|未知|不详|不知道|某某?某?|匿名|姓名|无名氏?|无|空|null|none|nil|n/?a|xx+|aa+|[*#?.。、-]+)[0-9]*')
            then 'placeholder'
        when {{ id_type }} is distinct from '990' and regexp_matches({{ column }}, '[0-9]|\p{Han}[A-Za-z]|[A-Za-z]\p{Han}') then 'characters'
        when length({{ column }}) < 2 then 'short'
    end
{%- endmacro %}

{# A telephone 联系电话 of the mainland, mobile or fixed, with or without country code and separators: missing, characters, length or form. #}
{% macro phone_flaw(column) -%}
    case
        when {{ column }} is null then 'missing'
        when not regexp_full_match({{ column }}, '\+?[0-9() -]+') then 'characters'
        when regexp_full_match({{ column }}, '(\+?86[ -]?)?(1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}|\(?0[0-9]{2,3}\)?[ -]?[2-9][0-9]{6,7}|400[ -]?[0-9]{3}[ -]?[0-9]{4}|[19][0-9]{4,5})')
            then null
        when length(regexp_replace({{ column }}, '[^0-9]', '', 'g')) not in (11, 12) then 'length'
        else 'form'
    end
{%- endmacro %}

{# Whether the last character of a certificate identifier 电子证照标识 is right (GB/T 36904-2018: ISO 7064 MOD 37,36 over what stands between the OID
   and it, without dots); null where the text has not the form of one. Equal to models.domain.identifiers.is_certificate_id. #}
{% macro certificate_id_check(column) -%}
    case when regexp_full_match({{ column }}, '1\.2\.156\.3005\.2(\.[0-9A-Z]+){4}\.[0-9A-Z]') then
        (37 - list_reduce(
            list_transform(
                split(replace(substr({{ column }}, 16, length({{ column }}) - 16), '.', ''), ''),
                lambda c: strpos('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', c) - 1),
            lambda p, v: ((p + v + 35) % 36 + 1) * 2 % 37,
            36)) % 36 = strpos('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ', right({{ column }}, 1)) - 1
    end
{%- endmacro %}
