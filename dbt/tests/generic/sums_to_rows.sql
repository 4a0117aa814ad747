{# The column's sum is the number of rows of another relation that meet a condition: nothing lost, nothing counted twice. #}
{% test sums_to_rows(model, column_name, to, condition) %}
select s.total, n.expected
from (select coalesce(sum({{ column_name }}), 0) as total from {{ model }}) as s
cross join (select count(*) as expected from {{ to }} where {{ condition }}) as n
where s.total <> n.expected
{% endtest %}
